import type { Device } from '@/api/client';
import { fetchReadings, type Readings } from '@/api/queries';
import type { Samples } from '@/charts/lines';
import { toNumber } from '@/lib/numbers';
import { toRfc3339 } from '@/lib/time';
import type { Range } from '@/lib/window';

export interface History {
  range: Range;
  /** ms; 0 for raw readings. */
  window: number;
  series: Readings[];
}

/** Numbers in windows as least, mean and greatest; switches as their last state. Words are no curve. */
export async function fetchHistory(
  device: string,
  metrics: Device['metrics'],
  range: Range,
  window: number,
  signal?: AbortSignal,
): Promise<History> {
  const named = (types: string[]) => metrics.filter((m) => types.includes(m.type)).map((m) => m.name);
  const ask = (names: string[], aggregates: ('min' | 'max' | 'mean' | 'last')[]) =>
    names.length === 0
      ? Promise.resolve([])
      : fetchReadings(
          { devices: [device], metrics: names, from: range.from, to: range.to, window, aggregates },
          signal,
        );
  const parts = window
    ? await Promise.all([
        ask(named(['double', 'int64', 'uint64']), ['min', 'mean', 'max']),
        ask(named(['bool']), ['last']),
      ])
    : await Promise.all([ask(named(['double', 'int64', 'uint64', 'bool']), [])]);
  return { range, window, series: parts.flat() };
}

/** As typed arrays; a window's line runs through its middle. */
export function toSamples(readings: Readings, window: number): Samples {
  const at = (name: string, fallback: number) => {
    const index = readings.columns.indexOf(name);
    return index < 0 ? fallback : index;
  };
  const mean = at('mean', 1);
  const low = at('min', mean);
  const high = at('max', mean);
  const points = readings.points.filter(
    (p) => p[mean] !== null && !Number.isNaN(toNumber(p[mean] as number)),
  );
  const column = (index: number) => Float64Array.from(points, (p) => toNumber(p[index] as number));
  const means = column(mean);
  return {
    times: Float64Array.from(points, (p) => (p[0] as number) + window / 2),
    means,
    lows: low === mean ? means : column(low),
    highs: high === mean ? means : column(high),
  };
}

type Cell = string | number | boolean | null;

/** Many series side by side, one row for each time that any of them has. */
export function toTable(series: Readings[]): { header: string[]; rows: Cell[][] } {
  const header = ['time'];
  const byTime = new Map<number, Cell[]>();
  for (const { metric, unit, columns, points, measurement, tags } of series) {
    const of = [measurement, ...Object.entries(tags ?? {}).map(([k, v]) => `${k}=${v}`)]
      .filter(Boolean)
      .join(',');
    const name = of ? `${of} ${metric}` : metric;
    const begin = header.length;
    for (const column of columns.slice(1)) {
      header.push(`${name}${column === 'value' ? '' : ` ${column}`}${unit ? ` (${unit})` : ''}`);
    }
    for (const [time, ...values] of points) {
      let row = byTime.get(time as number);
      if (!row) {
        row = [toRfc3339(time as number)];
        byTime.set(time as number, row);
      }
      for (let i = 0; i < values.length; i += 1) row[begin + i] = values[i] ?? null;
    }
  }
  const rows = [...byTime]
    .sort((a, b) => a[0] - b[0])
    .map(([, row]) => Array.from({ length: header.length }, (_, i) => row[i] ?? null));
  return { header, rows };
}
