import { DAY, HOUR, MINUTE, SECOND, toDuration } from './time';

/** Widths that divide their next larger neighbours, so that windows meet minutes, hours and days. */
const WIDTHS = [
  SECOND,
  2 * SECOND,
  5 * SECOND,
  10 * SECOND,
  15 * SECOND,
  30 * SECOND,
  MINUTE,
  2 * MINUTE,
  5 * MINUTE,
  10 * MINUTE,
  15 * MINUTE,
  30 * MINUTE,
  HOUR,
  2 * HOUR,
  3 * HOUR,
  6 * HOUR,
  12 * HOUR,
  DAY,
  7 * DAY,
];

export interface WindowChoice {
  /** Milliseconds; 0 means raw readings. */
  width: number;
  /** As the API spells it; undefined for raw readings. */
  window: string | undefined;
}

/**
 * The least window that leaves at most one for every `pixelsEach` pixels. Below half a second every reading fits on the
 * screen, so raw readings are asked for.
 */
export function chooseWindow(span: number, pixels: number, pixelsEach = 2): WindowChoice {
  const columns = Math.max(1, Math.floor(pixels / pixelsEach));
  const least = span / columns;
  if (least < SECOND / 2) return { width: 0, window: undefined };
  const width = WIDTHS.find((w) => w >= least) ?? Math.ceil(least / (7 * DAY)) * 7 * DAY;
  return { width, window: toDuration(width) };
}

export interface Range {
  from: number;
  to: number;
}

/** A view of a fixed length that ends now and moves with the clock, or one that stands still. */
export type View = { kind: 'tail'; span: number } | ({ kind: 'fixed' } & Range);

export function resolveView(view: View, now: number): Range {
  return view.kind === 'tail' ? { from: now - view.span, to: now } : { from: view.from, to: view.to };
}

export const PRESETS: { label: string; span: number; full: string }[] = [
  { label: '5m', span: 5 * MINUTE, full: '5 minutes' },
  { label: '15m', span: 15 * MINUTE, full: '15 minutes' },
  { label: '1h', span: HOUR, full: '1 hour' },
  { label: '6h', span: 6 * HOUR, full: '6 hours' },
  { label: '24h', span: DAY, full: '24 hours' },
  { label: '7d', span: 7 * DAY, full: '7 days' },
  { label: '30d', span: 30 * DAY, full: '30 days' },
];

/** Zooming in has a floor, and a range dragged up to the present keeps moving with it. */
export function zoomTo(range: Range, now: number, least = 2 * SECOND): View {
  const from = Math.min(range.from, range.to);
  const to = Math.max(range.from, range.to);
  const span = Math.max(least, to - from);
  const middle = (from + to) / 2;
  if (to >= now - span * 0.01) return { kind: 'tail', span };
  return { kind: 'fixed', from: middle - span / 2, to: middle + span / 2 };
}

/** Twice the view around its middle; where that passes the present, the view follows the present again. */
export function zoomOut(view: View, now: number, greatest = 365 * DAY): View {
  const { from, to } = resolveView(view, now);
  const span = Math.min(greatest, (to - from) * 2);
  if (view.kind === 'tail') return { kind: 'tail', span };
  const middle = (from + to) / 2;
  return middle + span / 2 >= now
    ? { kind: 'tail', span }
    : { kind: 'fixed', from: middle - span / 2, to: middle + span / 2 };
}

/** Zooms so that the moment under the pointer stays there; `factor` below one zooms in. Nothing lies beyond the present. */
export function zoomAround(range: Range, at: number, factor: number, now: number): Range {
  const span = range.to - range.from;
  const next = Math.min(365 * DAY, Math.max(2 * SECOND, span * factor));
  const from = at - (at - range.from) * (next / span);
  return endingBy({ from, to: from + next }, now);
}

/** Moved by `by` ms, as far as the present. */
export function pan(range: Range, by: number, now: number): Range {
  return endingBy({ from: range.from + by, to: range.to + by }, now);
}

function endingBy(range: Range, now: number): Range {
  const over = Math.max(0, range.to - now);
  return { from: range.from - over, to: range.to - over };
}
