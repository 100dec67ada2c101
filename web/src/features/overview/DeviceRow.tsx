import { Link } from '@tanstack/react-router';
import { memo, useCallback, useMemo } from 'react';
import type { DeviceListItem } from '@/api/client';
import { Sparkline } from '@/charts/Sparkline';
import { readable } from '@/lib/numbers';
import { parseTime } from '@/lib/time';
import { gapOf, type LiveSeries, type LiveStore } from '@/live/LiveStore';
import { useDeviceStatus, useLive, useMetrics } from '@/live/live';
import { Icon } from '@/ui/icons';
import { Age, LiveValue } from '@/ui/Live';
import { StateDot } from '@/ui/StateDot';
import classes from './DeviceList.module.css';
import { texts } from './texts';

/** Puts what the list said of a device where the live readings go; what is newer there stays. */
export function seed(store: LiveStore, item: DeviceListItem): void {
  store.seedStatus(item.device, {
    state: item.state,
    connected: item.connected,
    lastSeen: parseTime(item.last_seen),
  });
  for (const [metric, { value, time, unit }] of Object.entries(item.latest ?? {})) {
    store.seedLatest(item.device, metric, value, parseTime(time), unit);
  }
  for (const { name, unit } of item.metrics) {
    if (unit) store.series(item.device, name).unit = unit;
  }
}

/**
 * Of those that something came of (`heard`): those of the profile first, in its order, for its author knows what matters;
 * then numbers, for they have a trend. What a profile plans and the device never sent has nothing to show.
 */
export function metricsToShow(item: DeviceListItem, heard: string[], order: string[] = []): string[] {
  const known = item.metrics.map((m) => m.name).filter((name) => heard.includes(name));
  const kind = new Map(item.metrics.map((m) => [m.name, m.type]));
  const rank = (name: string) => {
    const type = kind.get(name);
    return type === 'string' ? 2 : type === 'bool' ? 1 : 0;
  };
  const place = (name: string) => {
    const at = order.indexOf(name);
    return at < 0 ? order.length : at;
  };
  return [...known, ...heard.filter((name) => !kind.has(name))]
    .map((name, i) => ({ name, i }))
    .sort((a, b) => place(a.name) - place(b.name) || rank(a.name) - rank(b.name) || a.i - b.i)
    .map((m) => m.name);
}

const staleAfter = (series: LiveSeries) => () => Math.max(15_000, gapOf(series) * 2);

function Reading({ series }: { series: LiveSeries }) {
  const limit = useMemo(() => staleAfter(series), [series]);
  return (
    <span className={classes.reading}>
      <span className={classes.metric}>{readable(series.metric)}</span>
      <LiveValue source={series} staleAfter={limit} />
    </span>
  );
}

export const DeviceRow = memo(function DeviceRow({
  item,
  onChart,
  color,
  order,
  onToggle,
}: {
  item: DeviceListItem;
  /** The metrics of its profile. */
  order?: string[] | undefined;
  onChart: boolean;
  color: string | null;
  onToggle: (device: string) => void;
}) {
  const { store } = useLive();
  const { device } = item;
  // Before the first look at the status, and again when the list brings news.
  useMemo(() => seed(store, item), [store, item]);
  const status = useDeviceStatus(device);
  const heard = useMetrics(device);
  const series = useMemo(
    () =>
      metricsToShow(item, heard, order)
        .slice(0, 3)
        .map((name) => store.series(device, name)),
    [store, item, device, heard, order],
  );
  const lastSeen = useCallback(() => store.status(device)?.lastSeen ?? Number.NaN, [store, device]);
  const name = item.name ?? device;
  const state = status?.state ?? item.state;

  return (
    <>
      <div className={classes.pick} role="cell">
        <button
          type="button"
          aria-pressed={onChart}
          aria-label={texts.onChart(name)}
          title={texts.onChart(name)}
          onClick={() => onToggle(device)}
          style={color ? { color } : undefined}
        >
          <Icon name="chart" size={15} />
        </button>
      </div>
      <div className={classes.name} role="cell">
        <StateDot state={state} />
        <div>
          <Link to="/devices/$device" params={{ device }} search={{}}>
            {name}
          </Link>
          <small>
            {item.name && <code>{device}</code>}
            {item.profile && <span>{readable(item.profile)}</span>}
            {Object.entries(item.labels)
              .slice(0, 1)
              .map(([k, v]) => (
                <span key={k} title={`${k} = ${v}`}>
                  {v}
                </span>
              ))}
          </small>
        </div>
      </div>
      <div className={classes.readings} role="cell">
        {series.length ? (
          series.map((s) => <Reading key={s.metric} series={s} />)
        ) : (
          <span className={classes.quiet}>{texts.noReadings}</span>
        )}
      </div>
      <div className={classes.trend} role="cell">
        {series[0] && (
          <Sparkline
            source={series[0]}
            gap={gapOf as never}
            width={88}
            height={26}
            muted={state !== 'online'}
          />
        )}
      </div>
      <div className={classes.seen} role="cell" data-state={state}>
        <Age time={lastSeen} />
      </div>
    </>
  );
});
