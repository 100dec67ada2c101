import {
  ActionIcon,
  Button,
  Group,
  Loader,
  Menu,
  Popover,
  SegmentedControl,
  Stack,
  TextInput,
  Tooltip,
} from '@mantine/core';
import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { useMemo, useRef, useState } from 'react';
import { type Device, messageOf } from '@/api/client';
import { fetchReadings, onePerMetric } from '@/api/queries';
import { HistoryChart } from '@/charts/HistoryChart';
import type { HistoryTrace } from '@/charts/HistoryChartView';
import { clock } from '@/lib/clock';
import { download, toCsv } from '@/lib/csv';
import { readable } from '@/lib/numbers';
import { formatMoment, formatSpan, toDuration } from '@/lib/time';
import { chooseWindow, PRESETS, resolveView, type View, zoomOut, zoomTo } from '@/lib/window';
import { gapOf } from '@/live/LiveStore';
import { useLive } from '@/live/live';
import { Icon } from '@/ui/icons';
import { toast } from '@/ui/toasts';
import classes from './HistoryPanel.module.css';
import { fetchHistory, toSamples, toTable } from './history';
import { texts } from './texts';
import { DEFAULT_SPAN, parseLocal } from './view';

const localInput = (ms: number) =>
  new Date(ms - new Date(ms).getTimezoneOffset() * 60_000).toISOString().slice(0, 19).replace('T', ' ');

function CustomRange({ view, onChange }: { view: View; onChange: (view: View) => void }) {
  const [opened, open] = useState(false);
  const [from, setFrom] = useState('');
  const [to, setTo] = useState('');
  const begin = parseLocal(from);
  const end = parseLocal(to);
  const unread = (text: string, time: number) => (text !== '' && Number.isNaN(time) ? texts.badMoment : null);
  const bad = !(end > begin);
  return (
    <Popover opened={opened} onChange={open} position="bottom-end" trapFocus returnFocus>
      <Popover.Target>
        <Button
          variant={view.kind === 'fixed' ? 'light' : 'default'}
          className={classes.custom}
          aria-label={texts.customRange}
          leftSection={<Icon name="clock" size={14} />}
          onClick={() => {
            const range = resolveView(view, clock.now());
            setFrom(localInput(range.from));
            setTo(localInput(range.to));
            open(!opened);
          }}
        >
          <span className={classes.words}>{texts.custom}</span>
        </Button>
      </Popover.Target>
      <Popover.Dropdown>
        <form
          onSubmit={(event) => {
            event.preventDefault();
            if (bad) return;
            onChange({ kind: 'fixed', from: begin, to: end });
            open(false);
          }}
        >
          <Stack gap="xs">
            <TextInput
              placeholder={texts.momentExample}
              label={texts.from}
              value={from}
              onChange={(e) => setFrom(e.currentTarget.value)}
              error={unread(from, begin)}
            />
            <TextInput
              placeholder={texts.momentExample}
              label={texts.to}
              value={to}
              onChange={(e) => setTo(e.currentTarget.value)}
              error={unread(to, end) ?? (end <= begin ? texts.badRange : null)}
            />
            <Button type="submit" disabled={bad}>
              {texts.apply}
            </Button>
          </Stack>
        </form>
      </Popover.Dropdown>
    </Popover>
  );
}

export function HistoryPanel({
  device,
  metrics,
  view,
  onView,
}: {
  device: Device;
  /** Those to draw, with their place in the palette. */
  metrics: { name: string; color: number }[];
  view: View;
  onView: (view: View) => void;
}) {
  const { store } = useLive();
  const [width, setWidth] = useState(800);
  const before = useRef<View[]>([]);
  const span = view.kind === 'tail' ? view.span : view.to - view.from;
  const { width: window } = chooseWindow(span, width);
  const shown = useMemo(
    () => device.metrics.filter((m) => metrics.some((x) => x.name === m.name)),
    [device.metrics, metrics],
  );

  const history = useQuery({
    queryKey: ['history', device.device, shown.map((m) => m.name), view, window],
    queryFn: ({ signal }) => {
      const range = resolveView(view, clock.now());
      // One window more on each side, so that the line enters and leaves the picture.
      const from = window ? Math.floor(range.from / window - 1) * window : range.from - 2000;
      return fetchHistory(
        device.device,
        shown,
        { from, to: view.kind === 'tail' ? range.to : range.to + window },
        window,
        signal,
      );
    },
    enabled: shown.length > 0,
    // The live end goes on by itself; now and then it is exchanged for windows as everywhere else.
    refetchInterval: view.kind === 'tail' ? Math.min(60_000, Math.max(5000, span / 40)) : false,
    placeholderData: keepPreviousData,
    staleTime: view.kind === 'tail' ? 0 : 60_000,
    gcTime: 60_000,
  });

  const curves = useMemo(() => onePerMetric(history.data?.series ?? []), [history.data]);
  const traces = useMemo<HistoryTrace[]>(
    () =>
      shown
        .filter((m) => m.type !== 'string')
        .map((m) => {
          const readings = curves.find((s) => s.metric === m.name);
          const live = store.series(device.device, m.name);
          return {
            key: m.name,
            label: readable(m.name),
            unit: m.unit,
            color: metrics.find((x) => x.name === m.name)!.color,
            samples: readings && history.data ? toSamples(readings, history.data.window) : null,
            window: history.data?.window ?? 0,
            ring: view.kind === 'tail' ? live.ring : null,
            gap: () => gapOf(live),
            step: m.type === 'bool',
          };
        }),
    [shown, metrics, history.data, curves, store, device.device, view.kind],
  );

  const change = (next: View) => {
    before.current.push(view);
    onView(next);
  };
  /** To the view before the first zoom; where there was none, to one that moves with now. */
  const reset = () => {
    const first = before.current.find((v) => v.kind === 'tail');
    before.current = [];
    if (first) onView(first);
    else if (view.kind === 'fixed') onView({ kind: 'tail', span: DEFAULT_SPAN });
    else onView(zoomOut(view, clock.now()));
  };
  const back = () => onView(before.current.pop() ?? zoomOut(view, clock.now()));
  const preset = view.kind === 'tail' ? PRESETS.find((p) => p.span === view.span) : undefined;
  const empty = history.data && !history.isFetching && history.data.series.length === 0;
  const fixed = view.kind === 'fixed';

  const save = async (raw: boolean) => {
    try {
      const range = resolveView(view, clock.now());
      const series = raw
        ? await fetchReadings(
            { devices: [device.device], metrics: shown.map((m) => m.name), ...range },
            undefined,
            200,
          )
        : (history.data?.series ?? []);
      const { header, rows } = toTable(series);
      download(
        `${device.device}_${new Date(range.from).toISOString().slice(0, 19).replaceAll(':', '')}.csv`,
        toCsv(header, rows),
      );
      toast(texts.exported(rows.length));
    } catch (error) {
      toast(messageOf(error), { tone: 'bad' });
    }
  };

  return (
    <section className={classes.root} aria-label={texts.history}>
      <header className={classes.header}>
        <h2>{texts.history}</h2>
        <span className={classes.range}>
          {fixed ? (
            <>
              {formatMoment(view.from)} – {formatMoment(view.to)}
            </>
          ) : (
            <>
              {preset?.full ?? formatSpan(view.span)} <i>· {texts.live}</i>
            </>
          )}
        </span>
        <div className={classes.tools}>
          <SegmentedControl
            className={classes.presets}
            aria-label={texts.range}
            size="xs"
            value={preset?.label ?? ''}
            onChange={(label) => {
              before.current = [];
              onView({ kind: 'tail', span: PRESETS.find((p) => p.label === label)!.span });
            }}
            data={PRESETS.map((p) => p.label)}
          />
          <CustomRange view={view} onChange={change} />
          <Tooltip label={texts.zoomOut}>
            <ActionIcon variant="default" size={30} aria-label={texts.zoomOut} onClick={back}>
              <Icon name="zoomOut" size={15} />
            </ActionIcon>
          </Tooltip>
          <Menu position="bottom-end">
            <Menu.Target>
              <Tooltip label={texts.export}>
                <ActionIcon variant="default" size={30} aria-label={texts.export}>
                  <Icon name="download" size={15} />
                </ActionIcon>
              </Tooltip>
            </Menu.Target>
            <Menu.Dropdown>
              <Menu.Label>{texts.export}</Menu.Label>
              {window > 0 && (
                <Menu.Item onClick={() => save(false)}>{texts.exportShown(toDuration(window))}</Menu.Item>
              )}
              <Menu.Item onClick={() => save(true)}>{texts.exportRaw}</Menu.Item>
            </Menu.Dropdown>
          </Menu>
        </div>
      </header>
      <div className={classes.plot}>
        <HistoryChart
          traces={traces}
          view={view}
          paneHeight={traces.length > 0 && new Set(traces.map((t) => t.unit)).size > 2 ? 128 : 190}
          onZoom={(from, to) => change(zoomTo({ from, to }, clock.now()))}
          onZoomOut={reset}
          onWidth={setWidth}
          label={`${texts.history} of ${traces.map((t) => t.label).join(', ')}`}
        />
        {history.isPending && shown.length > 0 && (
          <div className={classes.over}>
            <Loader size="sm" aria-label={texts.loading} />
          </div>
        )}
        {empty && <div className={classes.over}>{texts.empty}</div>}
        {history.error && (
          <div className={classes.over} role="alert">
            <Group gap="xs">
              {texts.failed} {messageOf(history.error)}
              <Button size="compact-xs" variant="default" onClick={() => history.refetch()}>
                {texts.retry}
              </Button>
            </Group>
          </div>
        )}
      </div>
      <footer className={classes.footer}>
        <span>{history.data?.window ? texts.resolution(toDuration(history.data.window)) : texts.raw}</span>
        <span className={classes.hint}>{texts.hint}</span>
        {fixed && (
          <Button size="compact-xs" variant="subtle" onClick={() => change({ kind: 'tail', span })}>
            {texts.toNow}
          </Button>
        )}
      </footer>
    </section>
  );
}
