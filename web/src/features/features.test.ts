import { describe, expect, it } from 'vitest';
import { KeyReader, spellShortcut } from '@/actions/shortcuts';
import type { DeviceListItem } from '@/api/client';
import type { TraceEvent } from '@/live/protocol';
import { isDeviceId, progressOf, suggestName } from './connect/trace';
import { labelPatch } from './device/EditDialog';
import { toSamples, toTable } from './device/history';
import { parseLocal, viewFromSearch, viewToSearch } from './device/view';
import { safeNext } from './login/LoginPage';
import { commonMetrics, metricsOnChart } from './overview/ChartPanel';
import { metricsToShow } from './overview/DeviceRow';
import { countFacets } from './overview/useDeviceList';
import { tokenOf } from './welcome/WelcomePage';

describe('login', () => {
  it('goes on only to a place of our own', () => {
    expect(safeNext('/devices/a?span=5m')).toBe('/devices/a?span=5m');
    for (const bad of [undefined, '', 'https://evil.test', '//evil.test', '/\\evil.test', '/login?next=/']) {
      expect(safeNext(bad)).toBe('/');
    }
  });
  it('finds the token of a one-time link', () => {
    expect(tokenOf('#token=abc-1')).toBe('abc-1');
    expect(tokenOf('#other=1')).toBeNull();
    expect(tokenOf('')).toBeNull();
  });
});

describe('connect', () => {
  const event = (stage: TraceEvent['stage'], ok: boolean): TraceEvent => ({
    time: '',
    stage,
    ok,
    message: `${stage}!`,
  });
  it('knows how far a device has come', () => {
    const refused = progressOf([event('connect', true), event('auth', false)]);
    expect([...refused.passed]).toEqual(['connect']);
    expect(refused.refusal?.message).toBe('auth!');
    const mended = progressOf([
      event('auth', false),
      event('auth', true),
      event('reading', true),
      event('reading', true),
    ]);
    expect(mended).toMatchObject({ refusal: null, readings: 2 });
    expect([...progressOf([event('reading', true)]).passed]).toEqual(['connect', 'auth', 'reading']);
    expect(progressOf([event('reading', true), event('parse', false)]).refusal?.stage).toBe('parse');
    const stranger = { ...event('auth', false), detail: { unnamed: true } };
    expect(progressOf([stranger]).refusal?.stage).toBe('auth');
    expect(progressOf([event('reading', true), stranger]).refusal).toBeNull();
  });
  it('suggests a name that nobody has', () => {
    const taken = new Set(['my-device', 'my-device-2']);
    expect(suggestName((n) => taken.has(n))).toBe('my-device-3');
    expect(suggestName(() => false)).toBe('my-device');
  });
  it('knows what may be a device id', () => {
    expect(['pump-1', 'Pumpe ä', 'a'.repeat(128)].every(isDeviceId)).toBe(true);
    expect(['', 'a/b', 'a+b', '#', 'a\nb', 'ä'.repeat(65)].some(isDeviceId)).toBe(false);
  });
});

describe('device', () => {
  it('keeps its view in the address', () => {
    for (const view of [
      { kind: 'tail', span: 3_600_000 },
      { kind: 'tail', span: 300_000 },
      { kind: 'fixed', from: 1000, to: 90_000 },
    ] as const) {
      expect(viewFromSearch(viewToSearch(view))).toEqual(view);
    }
    expect(viewFromSearch({ span: 'nonsense' })).toEqual({ kind: 'tail', span: 3_600_000 });
    expect(viewFromSearch({ from: '5', to: '3' })).toEqual({ kind: 'tail', span: 3_600_000 });
  });
  it('sends only the labels that changed, null for those that went', () => {
    expect(labelPatch({ a: '1', b: '2', c: '3' }, { a: '1', b: '5', d: '4' })).toEqual({
      c: null,
      b: '5',
      d: '4',
    });
  });
  const readings = {
    device: 'a',
    metric: 't',
    unit: '°C',
    columns: ['time', 'min', 'mean', 'max'],
    points: [
      [0, 1, 2, 3],
      [60, null, null, null],
      [120, 4, 5, 6],
    ],
  };
  it('turns windows into a line with a band, through the middle of each window', () => {
    const samples = toSamples(readings, 60);
    expect([...samples.times]).toEqual([30, 150]);
    expect([...samples.lows, ...samples.means, ...samples.highs]).toEqual([1, 4, 2, 5, 3, 6]);
  });
  it('has no band for raw readings', () => {
    const samples = toSamples(
      {
        ...readings,
        columns: ['time', 'value'],
        points: [
          [1, true],
          [2, false],
        ],
      },
      0,
    );
    expect([...samples.means]).toEqual([1, 0]);
    expect(samples.lows).toBe(samples.means);
  });
  it('lays series side by side for a spreadsheet', () => {
    const { header, rows } = toTable([
      {
        device: 'a',
        metric: 't',
        unit: '°C',
        columns: ['time', 'value'],
        points: [
          [1000, 5],
          [3000, 6],
        ],
      },
      {
        device: 'a',
        metric: 'door',
        unit: null,
        columns: ['time', 'value'],
        points: [
          [2000, true],
          [3000, false],
        ],
      },
    ]);
    expect(header).toEqual(['time', 't (°C)', 'door']);
    expect(rows).toEqual([
      ['1970-01-01T00:00:01.000Z', 5, null],
      ['1970-01-01T00:00:02.000Z', null, true],
      ['1970-01-01T00:00:03.000Z', 6, false],
    ]);
  });
});

describe('overview', () => {
  const m = (name: string, type = 'double') => ({ name, type, unit: null });
  const item = (metrics: object[]) =>
    ({ device: 'a', metrics, labels: {}, state: 'online', profile: null }) as unknown as DeviceListItem;
  it('shows numbers before switches before words, and what is new last', () => {
    expect(
      metricsToShow(item([m('word', 'string'), m('on', 'bool'), m('t'), m('p', 'int64')]), [
        'on',
        't',
        'fresh',
        'p',
        'word',
      ]),
    ).toEqual(['t', 'p', 'fresh', 'on', 'word']);
  });
  it('leaves out what was planned and never sent', () => {
    expect(metricsToShow(item([m('temperature'), m('load')]), ['load'], ['temperature', 'load'])).toEqual([
      'load',
    ]);
    expect(metricsToShow(item([m('temperature')]), [], ['temperature'])).toEqual([]);
  });
  it('charts all of one device, and of many what they share', () => {
    const devices = [item([m('t'), m('p'), m('word', 'string')]), item([m('p')])];
    expect(commonMetrics(devices)).toEqual(['p', 't']);
    expect(metricsOnChart(['a', 'b', 'c'], undefined, 1)).toEqual(['a', 'b', 'c']);
    expect(metricsOnChart(['a', 'b', 'c'], undefined, 2)).toEqual(['a']);
    expect(metricsOnChart(['a', 'b', 'c'], ['c', 'gone'], 2)).toEqual(['c']);
    expect(metricsOnChart(['a'], ['gone'], 2)).toEqual(['a']);
    const units: Record<string, string> = {
      cpu: '%',
      free: 'B',
      load: '',
      memory: '%',
      rx: 'B/s',
      temperature: '°C',
    };
    expect(metricsOnChart(Object.keys(units), undefined, 1, (m) => units[m]!)).toEqual([
      'cpu',
      'memory',
      'rx',
      'temperature',
    ]);
  });
  it('counts facets where the server does not', () => {
    const list = [
      { ...item([]), labels: { site: 'n' }, profile: 'pump' },
      { ...item([]), labels: { site: 'n' }, state: 'silent' },
    ] as DeviceListItem[];
    expect(countFacets(list)).toEqual({
      states: { online: 1, silent: 1 },
      profiles: { pump: 1 },
      labels: { site: { n: 2 } },
    });
  });
});

describe('shortcuts', () => {
  const key = (name: string, more: object = {}) => ({
    key: name,
    metaKey: false,
    ctrlKey: false,
    altKey: false,
    ...more,
  });
  const reader = () => new KeyReader(() => ['g o', 'c', 'mod+k', '/', '?']);
  it('reads single keys, sequences and modifiers', () => {
    const r = reader();
    expect(r.read(key('c'), 0)).toBe('c');
    expect(r.read(key('k', { ctrlKey: true }), 0)).toBe('mod+k');
    expect(r.read(key('k', { metaKey: true }), 0)).toBe('mod+k');
    expect(r.read(key('g'), 0)).toBeNull();
    expect(r.read(key('o'), 300)).toBe('g o');
    expect(r.read(key('o'), 400)).toBeNull();
    expect(r.read(key('c', { ctrlKey: true }), 0)).toBeNull(); // the browser's own
    expect(r.read(key('c', { altKey: true }), 0)).toBeNull();
  });
  it('forgets a sequence that was not finished in time', () => {
    const r = reader();
    r.read(key('g'), 0);
    expect(r.read(key('o'), 2000)).toBeNull();
    r.read(key('g'), 3000);
    expect(r.read(key('c'), 3100)).toBe('c');
  });
  it('spells them for the keyboard at hand', () => {
    expect(spellShortcut('mod+k', true)).toEqual(['⌘K']);
    expect(spellShortcut('mod+k', false)).toEqual(['Ctrl', 'K']);
    expect(spellShortcut('g o', false)).toEqual(['G', 'O']);
  });
});

it('reads moments in 24 hours, and takes none that the calendar lacks', () => {
  expect(parseLocal('2026-11-21 14:03:27')).toBe(new Date(2026, 10, 21, 14, 3, 27).getTime());
  expect(parseLocal(' 2026-11-21 9:05 ')).toBe(new Date(2026, 10, 21, 9, 5).getTime());
  expect(parseLocal('2026-11-21')).toBe(new Date(2026, 10, 21).getTime());
  for (const bad of ['', 'now', '21.11.2026', '2026-02-31', '2026-11-21 24:00', '2026-11-21 10:61'])
    expect(parseLocal(bad)).toBeNaN();
});

it('shows the metrics of the profile first, in its order', () => {
  const metrics = ['compressor', 'door', 'humidity', 'temperature'].map((name) => ({
    name,
    type: name === 'compressor' || name === 'door' ? 'bool' : 'double',
    unit: null,
  }));
  expect(
    metricsToShow(
      { metrics } as never,
      metrics.map((m) => m.name),
      ['temperature', 'door'],
    ),
  ).toEqual(['temperature', 'door', 'humidity', 'compressor']);
});
