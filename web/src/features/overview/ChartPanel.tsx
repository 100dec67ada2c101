import { ActionIcon, SegmentedControl, Tooltip, useComputedColorScheme } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useCallback, useEffect, useMemo, useState } from 'react';
import { ApiError, api, type Device, take } from '@/api/client';
import { fetchReadings, onePerMetric } from '@/api/queries';
import { LiveChart } from '@/charts/LiveChart';
import type { LiveTrace } from '@/charts/LiveChartView';
import { seriesColor } from '@/charts/palette';
import { clock } from '@/lib/clock';
import { isCoordinate, readable, toNumber } from '@/lib/numbers';
import { chooseWindow } from '@/lib/window';
import { gapOf } from '@/live/LiveStore';
import { useLive, useMetrics, useWatch } from '@/live/live';
import { Icon } from '@/ui/icons';
import { LiveValue } from '@/ui/Live';
import classes from './ChartPanel.module.css';
import { texts } from './texts';

export const SPANS = { '30s': 30_000, '1m': 60_000, '5m': 300_000, '15m': 900_000 } as const;
export type Span = keyof typeof SPANS;
export const MOST_DEVICES = 50;
const MOST_METRICS = 8;

/** Metrics that can be drawn, those that most devices have first. */
export function commonMetrics(devices: Pick<Device, 'metrics'>[]): string[] {
  const count = new Map<string, number>();
  for (const { metrics } of devices) {
    for (const { name, type } of metrics)
      if (type !== 'string') count.set(name, (count.get(name) ?? 0) + (type === 'bool' ? 0.5 : 1));
  }
  return [...count].sort((a, b) => b[1] - a[1]).map(([name]) => name);
}

const MOST_UNITS = 3;

/** What tells most of a thing at a glance: shares, then rates, then temperatures, then the rest as they come. */
function rankOfUnit(unit: string | null): number {
  if (unit === '%') return 0;
  if (unit?.endsWith('/s')) return 1;
  return unit === '°C' ? 2 : 3;
}

/** One device shows what tells most, in a few panes; several show what they have in common. */
export function metricsOnChart(
  available: string[],
  picked: string[] | undefined,
  deviceCount: number,
  unitOf: (metric: string) => string | null = () => null,
): string[] {
  const kept = picked?.filter((m) => available.includes(m)) ?? [];
  if (kept.length) return kept;
  const curves = available.filter((m) => !isCoordinate(m));
  if (curves.length > 0 && curves.length < available.length)
    return metricsOnChart(curves, undefined, deviceCount, unitOf);
  if (deviceCount !== 1) return available.slice(0, 1);
  const units = [...new Set(available.map(unitOf))];
  const chosen = units.sort((a, b) => rankOfUnit(a) - rankOfUnit(b)).slice(0, MOST_UNITS);
  return available.filter((m) => chosen.includes(unitOf(m))).slice(0, MOST_METRICS);
}

function useDevices(ids: string[]): Device[] | undefined {
  const { data } = useQuery({
    queryKey: ['devices', 'charted', ids],
    queryFn: async () => {
      const found = await Promise.all(
        ids.map((device) =>
          take(api.GET('/api/v1/devices/{device}', { params: { path: { device } } })).catch((error) => {
            if (error instanceof ApiError && error.status === 404) return null; // deleted, but still in the address
            throw error;
          }),
        ),
      );
      return found.filter((d) => d !== null);
    },
    staleTime: 30_000,
    // Until a fresh device has told what it measures.
    refetchInterval: ({ state }) => (state.data?.some((d) => d.metrics.length === 0) ? 2000 : false),
    placeholderData: (old) => old,
  });
  return data;
}

export function ChartPanel({
  ids,
  metrics: picked,
  span,
  onMetrics,
  onSpan,
  onRemove,
}: {
  ids: string[];
  metrics: string[] | undefined;
  span: Span;
  onMetrics: (metrics: string[] | undefined) => void;
  onSpan: (span: Span) => void;
  onRemove: (device: string) => void;
}) {
  const { store } = useLive();
  const dark = useComputedColorScheme() === 'dark';
  const [paused, setPaused] = useState(false);
  const loaded = useDevices(ids);
  const devices = useMemo(() => (loaded ?? []).filter((d) => ids.includes(d.device)), [loaded, ids]);
  const single = devices.length === 1;
  const heard = useMetrics(single ? devices[0]!.device : null);
  const planned = useMemo(() => commonMetrics(devices), [devices]);
  const available = useMemo(
    () => (single ? planned.filter((m) => heard.includes(m)) : planned),
    [planned, heard, single],
  );
  const shown = useMemo(() => {
    const units = new Map(devices.flatMap((d) => d.metrics.map((m) => [m.name, m.unit] as const)));
    return metricsOnChart(available, picked, devices.length, (m) => units.get(m) ?? null);
  }, [available, picked, devices]);
  const milliseconds = SPANS[span];
  const selection = { devices: devices.map((d) => d.device), metrics: shown };
  const selectionKey = JSON.stringify(selection);

  /** Raw readings for a short span, windows for a long one. */
  const fill = useCallback(
    async (key: string, from: number, signal?: AbortSignal) => {
      const wanted = JSON.parse(key) as { devices: string[]; metrics: string[] };
      if (wanted.devices.length === 0 || wanted.metrics.length === 0) return;
      const { width } = chooseWindow(milliseconds, 1200);
      try {
        const list = await fetchReadings({ ...wanted, from, to: clock.now(), window: width }, signal);
        for (const { device, metric, unit, points } of onePerMetric(list)) {
          store.series(device, metric).unit = unit;
          store.seedHistory(
            device,
            metric,
            points.map((p) => (p[0] as number) + width / 2),
            points.map((p) => toNumber(p[1])),
            true,
          );
        }
      } catch {
        // The chart begins with what comes live.
      }
    },
    [store, milliseconds],
  );
  // What came before. A break is filled beside it, and does not stop it.
  useEffect(() => {
    const abort = new AbortController();
    fill(selectionKey, clock.now() - milliseconds * 1.02, abort.signal);
    return () => abort.abort();
  }, [fill, selectionKey, milliseconds]);
  useWatch(
    {
      devices: single || shown.length ? selection.devices : [],
      // The legend of one device shows the values of what is not drawn, too, once it is heard.
      ...(single ? {} : { metrics: shown }),
      // Also where a pixel is longer: what is new stands at the chart's end and in the legend.
      interval: '50ms',
    },
    (from) => fill(selectionKey, Math.max(from - 1000, clock.now() - milliseconds)),
  );

  // The legend shows what is not drawn, too, and the list may not have come to this device: its own word counts.
  useMemo(() => {
    for (const d of devices) for (const m of d.metrics) store.series(d.device, m.name).unit = m.unit;
  }, [devices, store]);

  const traces = useMemo<LiveTrace[]>(
    () =>
      devices.flatMap((d, i) =>
        d.metrics
          .filter((m) => shown.includes(m.name))
          .map((m) => {
            const series = store.series(d.device, m.name);
            return {
              key: `${d.device}\u0000${m.name}`,
              label: single
                ? readable(m.name)
                : shown.length > 1
                  ? `${d.name ?? d.device} ${m.name}`
                  : (d.name ?? d.device),
              unit: m.unit,
              color: single ? available.indexOf(m.name) : i,
              ring: series.ring,
              gap: () => gapOf(series),
              step: m.type === 'bool',
            };
          }),
      ),
    [devices, shown, available, single, store],
  );

  const title = single ? (devices[0]!.name ?? devices[0]!.device) : texts.manyDevices(devices.length);
  const toggle = (metric: string) => {
    const next = shown.includes(metric) ? shown.filter((m) => m !== metric) : [...shown, metric];
    onMetrics(next.length ? available.filter((m) => next.includes(m)) : undefined);
  };

  return (
    <section className={classes.root} aria-label={texts.chart}>
      <header className={classes.header}>
        <h2>{devices.length ? title : texts.chart}</h2>
        <div className={classes.tools}>
          <Tooltip label={paused ? texts.resume : texts.pause}>
            <ActionIcon
              aria-label={paused ? texts.resume : texts.pause}
              aria-pressed={paused}
              onClick={() => setPaused(!paused)}
            >
              <Icon name={paused ? 'play' : 'pause'} size={15} />
            </ActionIcon>
          </Tooltip>
          <SegmentedControl
            size="xs"
            aria-label="Span"
            value={span}
            onChange={(value) => onSpan(value as Span)}
            data={Object.keys(SPANS)}
          />
        </div>
      </header>
      <div className={classes.legend}>
        {available.length > 0 &&
          (single ? (
            available.slice(0, 12).map((metric, i) => {
              const series = store.series(devices[0]!.device, metric);
              const on = shown.includes(metric);
              return (
                <button
                  key={metric}
                  type="button"
                  className={classes.entry}
                  aria-pressed={on}
                  onClick={() => toggle(metric)}
                >
                  <i style={{ background: on ? seriesColor(i, dark) : undefined }} />
                  <span>{readable(metric)}</span>
                  <LiveValue source={series} staleAfter={() => gapOf(series) * 2} />
                </button>
              );
            })
          ) : (
            <>
              <span className={classes.metrics}>
                {available.slice(0, 8).map((metric) => (
                  <button
                    key={metric}
                    type="button"
                    className={classes.entry}
                    aria-pressed={shown.includes(metric)}
                    onClick={() => toggle(metric)}
                  >
                    <span>{readable(metric)}</span>
                  </button>
                ))}
              </span>
              {devices.map((d, i) => (
                <span key={d.device} className={classes.entry} data-plain>
                  <i style={{ background: seriesColor(i, dark) }} />
                  <span>{d.name ?? d.device}</span>
                  <button
                    type="button"
                    className={classes.remove}
                    aria-label={`Take ${d.name ?? d.device} off the chart`}
                    onClick={() => onRemove(d.device)}
                  >
                    <Icon name="close" size={11} />
                  </button>
                </span>
              ))}
            </>
          ))}
      </div>
      <div className={classes.plot}>
        {traces.length > 0 ? (
          <LiveChart traces={traces} span={milliseconds} paused={paused} label={texts.chartLabel(title)} />
        ) : (
          <p className={classes.empty}>
            {ids.length === 0
              ? texts.pick
              : loaded && devices.length && planned.length === 0
                ? texts.noNumbers
                : texts.waiting}
          </p>
        )}
      </div>
    </section>
  );
}
