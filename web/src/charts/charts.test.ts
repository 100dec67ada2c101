import { describe, expect, it } from 'vitest';
import { Columns } from '@/lib/columns';
import { Ring } from '@/lib/ring';
import { DAY, HOUR, MINUTE } from '@/lib/time';
import { groupByUnit, withData } from './LiveChartView';
import { type Plane, runs, strokeColumns, visible } from './lines';
import { tellNewest } from './newest';
import { seriesColor } from './palette';
import { readoutValue } from './Readout';
import { GlidingRange, niceRange } from './range';
import { timeTicks } from './ticks';

describe('niceRange', () => {
  it('has room, round bounds, and zero where the data comes near', () => {
    expect(niceRange(3, 97)).toEqual([0, 110]);
    const [low, high] = niceRange(20.1, 21.9);
    expect(low).toBeLessThan(20.1);
    expect(high).toBeGreaterThan(21.9);
    expect(high - low).toBeLessThan(3);
    expect(niceRange(-5, 5)[0]).toBeLessThan(-5);
  });
  it('knows flat and empty data', () => {
    expect(niceRange(0, 0)).toEqual([0, 1]);
    expect(niceRange(50, 50)).toEqual([45, 55]);
    expect(niceRange(Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY)).toEqual([0, 1]);
  });
});

describe('GlidingRange', () => {
  it('jumps to the first data, stays while it fits, glides when it does not', () => {
    const range = new GlidingRange();
    range.update(0, 10, 0, 16);
    const { low, high } = range;
    range.update(1, 9, 16, 16);
    expect([range.low, range.high]).toEqual([low, high]);
    range.update(0, 30, 32, 16);
    expect(range.high).toBeGreaterThan(high);
    expect(range.high).toBeLessThan(30);
    expect(range.settled).toBe(false);
    for (let t = 48; t < 3000; t += 16) range.update(0, 30, t, 16);
    expect(range.settled).toBe(true);
    expect(range.high).toBeGreaterThanOrEqual(30);
  });
  it('tightens only when the data has been small for a while', () => {
    const range = new GlidingRange();
    range.update(0, 100, 0, 16);
    for (let t = 16; t < 1000; t += 16) range.update(40, 50, t, 16);
    expect(range.high).toBeGreaterThan(100);
    for (let t = 1000; t < 6000; t += 16) range.update(40, 50, t, 16);
    expect(range.high).toBeLessThan(60);
  });
});

describe('timeTicks', () => {
  it('are round, also when the window begins in the middle of a millisecond', () => {
    const from = Date.parse('2026-01-01T10:00:07.3Z') + 0.4217;
    expect(
      timeTicks(from, from + 30_000, 10_000).map((t) => new Date(t).toISOString().slice(14, 23)),
    ).toEqual(['00:10.000', '00:20.000', '00:30.000']);
  });
  it('follow the hours and days of the browser', () => {
    const from = new Date(2026, 2, 27, 5, 17).getTime();
    for (const step of [30 * MINUTE, HOUR, 6 * HOUR, DAY]) {
      const ticks = timeTicks(from, from + 4 * DAY, step);
      expect(ticks.length).toBeGreaterThan(2);
      for (const tick of ticks) {
        const date = new Date(tick);
        expect(date.getMinutes() % 30).toBe(0);
        if (step >= 6 * HOUR) expect(date.getHours() % 6).toBe(0);
        if (step === DAY) expect(date.getHours()).toBe(0);
      }
    }
  });
  it('gives up on nonsense', () => expect(timeTicks(0, 1e12, 1)).toEqual([]));
});

/** Notes what is drawn. */
function recorder() {
  const strokes: [string, number, number][][] = [];
  let path: [string, number, number][] = [];
  const ctx = {
    beginPath: () => {
      path = [];
    },
    moveTo: (x: number, y: number) => path.push(['move', x, y]),
    lineTo: (x: number, y: number) => path.push(['line', x, y]),
    stroke: () => strokes.push(path),
  };
  return { ctx: ctx as unknown as CanvasRenderingContext2D, strokes };
}
const plane: Plane = { left: 0, top: 0, width: 100, height: 100, from: 0, to: 100, low: 0, high: 100 };

describe('strokeColumns', () => {
  it('draws a line through the readings', () => {
    const ring = new Ring();
    ring.push(10, 20);
    ring.push(30, 60);
    const columns = new Columns();
    columns.sync(ring, 5, 0);
    const { ctx, strokes } = recorder();
    strokeColumns(ctx, plane, columns, 50, false);
    expect(strokes.flat()).toEqual([
      ['move', 10, 80],
      ['line', 30, 40],
    ]);
  });
  it('leaves a gap open', () => {
    const ring = new Ring();
    for (const t of [10, 12, 80, 82]) ring.push(t, 50);
    const columns = new Columns();
    columns.sync(ring, 1, 0);
    const { ctx, strokes } = recorder();
    strokeColumns(ctx, plane, columns, 20, false);
    expect(strokes.flat().map((s) => `${s[0]} ${s[1]}`)).toEqual([
      'move 10',
      'line 12',
      'move 80',
      'line 82',
    ]);
  });
  it('draws switches as steps', () => {
    const ring = new Ring();
    ring.push(10, 0);
    ring.push(20, 1);
    const columns = new Columns();
    columns.sync(ring, 1, 0);
    const { ctx, strokes } = recorder();
    strokeColumns(ctx, { ...plane, high: 1 }, columns, 50, true);
    expect(strokes.flat()).toEqual([
      ['move', 10, 100],
      ['line', 20, 100],
      ['line', 20, 0],
    ]);
  });
  it('cuts long lines into pieces that meet', () => {
    const ring = new Ring();
    for (let t = 0; t < 100; t += 1) ring.push(t, t);
    const columns = new Columns();
    columns.sync(ring, 1, 0);
    const { ctx, strokes } = recorder();
    strokeColumns(ctx, plane, columns, 50, false);
    expect(strokes.length).toBeGreaterThan(4);
    for (let i = 1; i < strokes.length; i += 1) {
      expect(strokes[i]![0]!.slice(1)).toEqual(strokes[i - 1]!.at(-1)!.slice(1));
    }
    expect(new Set(strokes.flat().map((s) => s[1])).size).toBe(100);
  });
});

it('finds runs without a gap, and what is in sight', () => {
  const times = Float64Array.from([0, 10, 20, 100, 110, 300]);
  expect([...runs(times, 0, 6, 15)]).toEqual([
    [0, 3],
    [3, 5],
    [5, 6],
  ]);
  expect(visible(times, 15, 105)).toEqual([1, 5]);
});

it('gives each unit a pane, and the last pane to all that is left', () => {
  const units = ['a', 'b', 'a', 'c', 'd', 'e', null].map((unit) => ({ unit }));
  expect(groupByUnit(units, 4).map((g) => g.traces.length)).toEqual([2, 1, 1, 3]);
  expect(groupByUnit(units.slice(0, 3)).map((g) => g.unit)).toEqual(['a', 'b']);
});

it('has a colour for every series, the first ten all different', () => {
  const first = Array.from({ length: 10 }, (_, i) => seriesColor(i, false));
  expect(new Set(first).size).toBe(10);
  expect(seriesColor(23, true)).toMatch(/^#[0-9a-f]{6}$/);
  expect(seriesColor(10, false)).not.toBe(seriesColor(0, false));
});

it('reads a mean and its band in one unit', () => {
  const row = { color: '', label: 'disk read', unit: 'B/s' };
  expect(readoutValue({ ...row, value: 423_000, low: 0, high: 1_800_000 })).toBe('0.42 MB/s  (0 – 1.8 MB/s)');
  expect(readoutValue({ ...row, value: 423_000 })).toBe('423 kB/s');
  expect(readoutValue({ ...row, unit: 'B', value: 73.01e9, low: 72.98e9, high: 73.1e9 })).toBe(
    '73 GB  (73 – 73.1 GB)',
  );
  expect(readoutValue({ ...row, unit: '%', value: 9.16, low: 9.14, high: 9.17 })).toBe(
    '9.16 %  (9.14 – 9.17 %)',
  );
});

it('leaves out what has nothing to draw, unless nothing has', () => {
  const traces = [{ n: 3 }, { n: 0 }, { n: 1 }];
  expect(withData(traces, (t) => t.n > 0)).toEqual([{ n: 3 }, { n: 1 }]);
  expect(withData([{ n: 0 }], (t) => t.n > 0)).toEqual([{ n: 0 }]);
});

it('gives latitude and longitude an axis each', () => {
  const traces = ['a\u0000lat', 'a\u0000lon', 'b\u0000lat', 'a\u0000tilt'].map((key) => ({ key, unit: '°' }));
  expect(groupByUnit(traces).map((g) => g.traces.map((t) => t.key.at(-1)))).toEqual([
    ['t', 't'],
    ['n'],
    ['t'],
  ]);
  expect(groupByUnit(traces).map((g) => g.traces.length)).toEqual([2, 1, 1]);
});

it('tells the newest reading that a chart has drawn, once there is one', () => {
  const host = { dataset: {} as Record<string, string> };
  const tell = (...rings: (Ring | null)[]) => tellNewest(host as unknown as HTMLElement, rings);
  const [a, b] = [new Ring(), new Ring()];
  tell(a, null);
  expect(host.dataset).toEqual({});
  a.push(1000, 1);
  b.push(2000, 1);
  tell(a, null, b);
  expect(host.dataset.newest).toBe('2000');
});
