import { describe, expect, it } from 'vitest';
import {
  formatCompact,
  formatFully,
  formatTickValue,
  formatValue,
  isCoordinate,
  readable,
  toNumber,
} from './numbers';

const shown = (value: number | boolean | string | null, unit?: string) => {
  const { text, unit: u } = formatValue(value, unit);
  return u ? `${text} ${u}` : text;
};

describe('formatValue', () => {
  it.each([
    [21.5, '°C', '21.5 °C'],
    [21.456, '°C', '21.46 °C'],
    [0.01234, 'V', '0.0123 V'],
    [1013.25, 'hPa', '1,013 hPa'],
    [5, 'bar', '5 bar'],
    [-17.333, '°C', '-17.33 °C'],
    [1_250_000, 'B/s', '1.3 MB/s'],
    [999, 'B', '999 B'],
    [3e12, 'x', '3.00e+12 x'],
    [true, undefined, 'on'],
    ['open', undefined, 'open'],
    [null, 'V', '–'],
  ])('%s %s is "%s"', (value, unit, text) => expect(shown(value, unit)).toBe(text));
});

describe('ticks', () => {
  it('show as many digits as their step needs', () => {
    expect([0, 2.5, 5].map((v) => formatTickValue(v, 2.5))).toEqual(['0.0', '2.5', '5.0']);
    expect(formatTickValue(0.3, 0.1)).toBe('0.3');
    expect(formatTickValue(20, 20)).toBe('20');
    expect(formatTickValue(0.00025, 0.00005)).toBe('0.00025');
    expect(formatTickValue(300_000, 100_000, 'B/s')).toBe('300 kB');
    expect([79.55e9, 79.6e9].map((v) => formatTickValue(v, 0.05e9, 'B'))).toEqual(['79.55 GB', '79.6 GB']);
    expect([0, 500, 1500].map((v) => formatTickValue(v, 500, 'B'))).toEqual(['0 B', '500 B', '1.5 kB']);
  });
});

it('makes counts short', () => {
  expect([5, 9999, 12_345, 1_234_567].map(formatCompact)).toEqual(['5', '9,999', '12.3K', '1.23M']);
});

it('spells names for people without spoiling them', () => {
  expect([readable('engine_temperature'), readable('pm2_5'), readable('température_eau')]).toEqual([
    'engine temperature',
    'pm2_5',
    'température eau',
  ]);
});

it('turns switches into numbers and words into none', () => {
  expect([toNumber(true), toNumber(false), toNumber(2)]).toEqual([1, 0, 2]);
  expect(toNumber('on')).toBeNaN();
});

describe('formatFully', () => {
  it.each([
    [177.25, 'm³/h', '', '177.25'],
    [1013.256, 'hPa', '', '1,013.26'],
    [21.5, '°C', '', '21.5'],
    [0.0123456789, 'V', '', '0.0123457'],
    [123456.78, '', '', '123,457'],
    [71.1e9, 'B', '', '71.1'],
    [52.5, '°', 'latitude', '52.50000'],
    [13.4049541, '°', 'position_lon', '13.40495'],
    [5, 'bar', '', '5'],
    [true, '', '', 'on'],
  ])('%s %s %s is "%s"', (value, unit, metric, text) =>
    expect(formatFully(value, unit, metric).text).toBe(text),
  );
  it('knows a place by its name', () => {
    expect(['lat', 'longitude', 'gps_lon', 'flat', 'plateau', 'salon'].map(isCoordinate)).toEqual([
      true,
      true,
      true,
      false,
      false,
      false,
    ]);
  });
});
