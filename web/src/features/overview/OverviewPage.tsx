import { useComputedColorScheme } from '@mantine/core';
import { useElementSize, useMediaQuery } from '@mantine/hooks';
import { useQuery } from '@tanstack/react-query';
import { type ReactNode, useCallback, useMemo, useRef } from 'react';
import { queries } from '@/api/queries';
import { seriesColor } from '@/charts/palette';
import { formatCount } from '@/lib/numbers';
import { toast } from '@/ui/toasts';
import { ChartPanel, MOST_DEVICES, type Span } from './ChartPanel';
import { DeviceList } from './DeviceList';
import { type Filter, FilterBar } from './FilterBar';
import classes from './OverviewPage.module.css';
import { texts } from './texts';
import { useDeviceList } from './useDeviceList';

const NARROW_LIST = 620;

export interface OverviewState extends Filter {
  on?: string[] | undefined;
  m?: string[] | undefined;
  span?: Span | undefined;
}

export function OverviewPage({
  state,
  onChange,
  banner,
  invitation,
}: {
  state: OverviewState;
  onChange: (change: OverviewState) => void;
  banner?: ReactNode;
  /** Shown under the list while this machine is alone. */
  invitation?: ReactNode;
}) {
  const wide = useMediaQuery('(min-width: 68em)', true, { getInitialValueInEffect: false });
  // As the style sheet has it: by the room that the list has, which is little on a small desktop, too.
  const { ref: section, width: room } = useElementSize();
  const dark = useComputedColorScheme() === 'dark';
  const page = useRef<HTMLDivElement>(null);
  const side = useRef<HTMLDivElement>(null);
  const { data: system } = useQuery(queries.system());
  const list = useDeviceList({
    q: state.q,
    state: state.state,
    profile: state.profile,
    labels: state.label,
    sort: state.sort,
  });

  const filtered = Boolean(state.q || state.state || state.profile || state.label?.length);
  // Nothing picked yet: this machine, for it always moves; else the first that is online.
  const self = system?.self_device ?? null;
  const fallback =
    self ?? list.devices.find((d) => d.state === 'online')?.device ?? list.devices[0]?.device ?? null;
  const onKey = (state.on ?? (fallback ? [fallback] : [])).join('\u0000');
  const charted = useMemo(() => (onKey ? onKey.split('\u0000').slice(0, MOST_DEVICES) : []), [onKey]);

  const current = useRef({ state, charted, onChange });
  current.current = { state, charted, onChange };
  const toggle = useCallback((device: string) => {
    const { state: now, charted: shown, onChange: change } = current.current;
    if (!now.on) {
      change({ on: [device], m: undefined });
      return;
    }
    if (shown.includes(device)) {
      const rest = shown.filter((d) => d !== device);
      change({ on: rest.length ? rest : undefined, m: rest.length > 1 ? now.m : undefined });
    } else if (shown.length >= MOST_DEVICES) toast(texts.fullChart(MOST_DEVICES));
    else change({ on: [...shown, device], m: shown.length === 1 ? undefined : now.m });
  }, []);
  const colorOf = useCallback(
    (device: string) => {
      const at = charted.indexOf(device);
      return at < 0 ? null : seriesColor(charted.length === 1 ? 0 : at, dark);
    },
    [charted, dark],
  );

  const alone = list.total <= 1 && !filtered && !list.isLoading;
  return (
    <div
      className={classes.page}
      ref={page}
      data-wide={wide || undefined}
      data-empty={(alone && list.total === 0) || undefined}
    >
      {banner && <div className={classes.banner}>{banner}</div>}
      <div className={classes.chart}>
        <ChartPanel
          ids={charted}
          metrics={state.m}
          span={state.span ?? '1m'}
          onMetrics={(m) => onChange({ m })}
          onSpan={(span) => onChange({ span: span === '1m' ? undefined : span })}
          onRemove={toggle}
        />
      </div>
      <section ref={section} className={classes.list} aria-labelledby="devices-title">
        <header className={classes.title}>
          <h1 id="devices-title">{texts.title}</h1>
          {!list.isLoading && (
            <span aria-live="polite">
              {formatCount(list.total)}
              <span className="visually-hidden"> {filtered ? 'match' : 'in all'}</span>
            </span>
          )}
        </header>
        {!alone && <FilterBar filter={state} facets={list.facets} onChange={onChange} />}
        <div className={classes.rows} ref={side}>
          <DeviceList
            list={list}
            filtered={filtered}
            scroller={wide ? side : page}
            phone={room > 0 ? room <= NARROW_LIST : !wide}
            charted={charted}
            colorOf={colorOf}
            onToggle={toggle}
          />
          {alone && invitation}
        </div>
      </section>
    </div>
  );
}
