import { describe, expect, it } from 'vitest';
import { ageHoldsFor, formatAge, formatSpan, parseDuration, parseTime, toDuration } from './time';

describe('parseTime', () => {
  it('reads RFC 3339 with up to nine digits of a second', () => {
    const base = Date.parse('2026-01-01T00:00:00Z');
    expect(parseTime('2026-01-01T00:00:00Z')).toBe(base);
    expect(parseTime('2026-01-01T00:00:00.250Z')).toBe(base + 250);
    expect(parseTime('2026-01-01T00:00:00.123456789Z')).toBeCloseTo(base + 123.456789, 3);
    expect(parseTime('2026-01-01T01:00:00.5+01:00')).toBe(base + 500);
  });
  it('takes integers as milliseconds and says NaN to the rest', () => {
    expect(parseTime(1234)).toBe(1234);
    expect(parseTime(null)).toBeNaN();
    expect(parseTime('yesterday')).toBeNaN();
  });
});

describe('formatAge', () => {
  it.each([
    [0, 'now'],
    [999, 'now'],
    [-1500, 'now'],
    [3000, '3 s ago'],
    [59_999, '59 s ago'],
    [60_000, '1 min ago'],
    [3_599_999, '59 min ago'],
    [3_600_000, '1 h ago'],
    [86_400_000 * 3, '3 d ago'],
    [-65_000, 'in 1 min'],
    [Number.NaN, 'never'],
  ])('%d ms is "%s"', (age, text) => expect(formatAge(age)).toBe(text));

  it('says how long it holds', () => {
    expect(ageHoldsFor(3200)).toBe(800);
    expect(ageHoldsFor(61_000)).toBe(59_000);
    for (const age of [0, 3200, 59_999, 61_000, 3_600_001, 90_000_000]) {
      expect(formatAge(age + ageHoldsFor(age) - 1)).toBe(formatAge(age));
      expect(formatAge(age + ageHoldsFor(age))).not.toBe(formatAge(age));
    }
  });
});

describe('durations', () => {
  it('reads and writes the spelling of the API', () => {
    expect(parseDuration('100ms')).toBe(100);
    expect(parseDuration('1.5h')).toBe(5_400_000);
    expect(parseDuration('5 minutes')).toBeNull();
    for (const text of ['200ms', '15s', '5m', '3h', '7d'])
      expect(toDuration(parseDuration(text)!)).toBe(text);
    expect(toDuration(90_000)).toBe('90s');
  });
  it('cuts rather than rounds', () => expect(formatSpan(119_999)).toBe('1 min'));
});
