import { describe, expect, it } from 'vitest';
import { DAY, HOUR, MINUTE, SECOND } from './time';
import { chooseWindow, pan, resolveView, type View, zoomAround, zoomOut, zoomTo } from './window';

describe('chooseWindow', () => {
  it.each([
    [MINUTE, 1000, 0, undefined],
    [5 * MINUTE, 1000, SECOND, '1s'],
    [HOUR, 1000, 10 * SECOND, '10s'],
    [6 * HOUR, 1000, MINUTE, '1m'],
    [DAY, 1000, 5 * MINUTE, '5m'],
    [7 * DAY, 1000, 30 * MINUTE, '30m'],
    [30 * DAY, 1000, 2 * HOUR, '2h'],
    [DAY, 360, 10 * MINUTE, '10m'],
  ])('%d ms over %d px: %d', (span, pixels, width, window) => {
    expect(chooseWindow(span, pixels)).toEqual({ width, window });
  });

  it('never asks for more windows than pixels can show, and never for far fewer', () => {
    for (let span = 3 * MINUTE; span < 900 * DAY; span *= 1.37) {
      for (const pixels of [200, 390, 800, 1440, 3840]) {
        const { width } = chooseWindow(span, pixels);
        if (width === 0) continue;
        const count = span / width;
        expect(count).toBeLessThanOrEqual(pixels / 2 + 1);
        if (span < 300 * DAY) expect(count).toBeGreaterThan(pixels / 2 / 8);
      }
    }
  });
});

describe('views', () => {
  const now = 1_800_000_000_000;
  it('a tail moves with the clock', () => {
    expect(resolveView({ kind: 'tail', span: HOUR }, now)).toEqual({ from: now - HOUR, to: now });
  });
  it('zooming to the past stands still; up to now it goes on moving', () => {
    expect(zoomTo({ from: now - HOUR, to: now - MINUTE }, now)).toEqual({
      kind: 'fixed',
      from: now - HOUR,
      to: now - MINUTE,
    });
    expect(zoomTo({ from: now - HOUR, to: now + 5 }, now)).toEqual({ kind: 'tail', span: HOUR + 5 });
    expect(zoomTo({ from: now - MINUTE, to: now - HOUR }, now).kind).toBe('fixed'); // dragged from right to left
  });
  it('zooming in has a floor', () => {
    const view = zoomTo({ from: now - HOUR, to: now - HOUR + 3 }, now) as Extract<View, { kind: 'fixed' }>;
    expect(view.to - view.from).toBe(2000);
  });
  it('zooming out doubles around the middle, and follows now once it reaches it', () => {
    expect(zoomOut({ kind: 'fixed', from: now - 10 * HOUR, to: now - 9 * HOUR }, now)).toEqual({
      kind: 'fixed',
      from: now - 10.5 * HOUR,
      to: now - 8.5 * HOUR,
    });
    expect(zoomOut({ kind: 'fixed', from: now - HOUR, to: now - MINUTE }, now).kind).toBe('tail');
    expect(zoomOut({ kind: 'tail', span: 300 * DAY }, now)).toEqual({ kind: 'tail', span: 365 * DAY });
  });
});

it('zooms around the pointer, and neither zoom nor pan passes the present', () => {
  expect(zoomAround({ from: 0, to: 100_000 }, 25_000, 0.5, 1e9)).toEqual({ from: 12_500, to: 62_500 });
  expect(zoomAround({ from: 0, to: 100_000 }, 100_000, 2, 100_000)).toEqual({ from: -100_000, to: 100_000 });
  expect(zoomAround({ from: 0, to: 100_000 }, 10_000, 2, 100_000).to).toBe(100_000);
  expect(zoomAround({ from: 0, to: 4000 }, 2000, 0.1, 1e9)).toEqual({ from: 1000, to: 3000 });
  expect(pan({ from: 0, to: 10 }, 5, 100)).toEqual({ from: 5, to: 15 });
  expect(pan({ from: 0, to: 10 }, 500, 100)).toEqual({ from: 90, to: 100 });
});
