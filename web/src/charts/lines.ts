import type { Columns } from '@/lib/columns';

/** Maps a chart's plane to canvas pixels. */
export interface Plane {
  left: number;
  top: number;
  width: number;
  height: number;
  from: number;
  to: number;
  low: number;
  high: number;
}

/** Windows (or raw readings) of one series as typed arrays; where there is no band, `lows` and `highs` are `means`. */
export interface Samples {
  times: Float64Array;
  means: Float64Array;
  lows: Float64Array;
  highs: Float64Array;
}

const xOf = (plane: Plane, time: number) =>
  plane.left + ((time - plane.from) / (plane.to - plane.from)) * plane.width;
const yOf = (plane: Plane, value: number) =>
  plane.top + ((plane.high - value) / (plane.high - plane.low)) * plane.height;

const CHUNK = 16;

/**
 * Strokes the line of a ring's columns; breaks it where readings are more than `gap` apart. In short pieces: rasterising one
 * path of thousands of segments costs several times as much as the same segments in many paths.
 */
export function strokeColumns(
  ctx: CanvasRenderingContext2D,
  plane: Plane,
  columns: Columns,
  gap: number,
  step: boolean,
): void {
  const start = Math.max(0, columns.lowerBound(plane.from) - 2);
  const kx = plane.width / (plane.to - plane.from);
  const ky = plane.height / (plane.high - plane.low);
  const bx = plane.left - plane.from * kx;
  const by = plane.top + plane.high * ky;
  let lastTime = Number.NEGATIVE_INFINITY;
  let lastY = 0;
  let count = 0;
  ctx.beginPath();
  for (let i = start; i < columns.length; i += 1) {
    const first = columns.firstTimes[i]!;
    if (first > plane.to) break;
    const last = columns.lastTimes[i]!;
    const x = bx + first * kx;
    const y = by - columns.firsts[i]! * ky;
    if (count >= CHUNK) {
      ctx.stroke();
      ctx.beginPath();
      ctx.moveTo(bx + lastTime * kx, lastY);
      count = 0;
    }
    if (first - lastTime > gap) ctx.moveTo(x, y);
    else {
      if (step) ctx.lineTo(x, lastY);
      ctx.lineTo(x, y);
    }
    lastY = y;
    count += 1;
    if (last > first) {
      const end = bx + last * kx;
      const lasts = by - columns.lasts[i]! * ky;
      if (columns.maxs[i]! > columns.mins[i]!) {
        const middle = (x + end) / 2;
        ctx.lineTo(middle, by - columns.mins[i]! * ky);
        ctx.lineTo(middle, by - columns.maxs[i]! * ky);
        count += 2;
      }
      ctx.lineTo(end, lasts);
      lastY = lasts;
      count += 1;
    }
    lastTime = last;
  }
  ctx.stroke();
}

/** Indices [start, end) of the samples that touch the plane, one beyond on each side. */
export function visible(times: Float64Array, from: number, to: number): [number, number] {
  return [Math.max(0, bound(times, from) - 1), Math.min(times.length, bound(times, to) + 1)];
}

export function bound(times: ArrayLike<number>, time: number): number {
  let low = 0;
  let high = times.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (times[middle]! < time) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Runs of samples without a gap, as [start, end). */
export function* runs(
  times: Float64Array,
  start: number,
  end: number,
  gap: number,
): Generator<[number, number]> {
  let begin = start;
  for (let i = start + 1; i <= end; i += 1) {
    if (i === end || times[i]! - times[i - 1]! > gap) {
      if (i > begin) yield [begin, i];
      begin = i;
    }
  }
}

export function drawSamples(
  ctx: CanvasRenderingContext2D,
  plane: Plane,
  samples: Samples,
  style: { color: string; gap: number; band: boolean; step: boolean; width: number; dots: boolean },
): void {
  const [start, end] = visible(samples.times, plane.from, plane.to);
  ctx.strokeStyle = style.color;
  ctx.fillStyle = style.color;
  ctx.lineWidth = style.width;
  for (const [a, b] of runs(samples.times, start, end, style.gap)) {
    if (style.band) {
      ctx.beginPath();
      for (let i = a; i < b; i += 1) ctx.lineTo(xOf(plane, samples.times[i]!), yOf(plane, samples.highs[i]!));
      for (let i = b - 1; i >= a; i -= 1)
        ctx.lineTo(xOf(plane, samples.times[i]!), yOf(plane, samples.lows[i]!));
      ctx.closePath();
      ctx.globalAlpha = 0.16;
      ctx.fill();
      ctx.globalAlpha = 1;
    }
    ctx.beginPath();
    for (let i = a; i < b; i += 1) {
      const x = xOf(plane, samples.times[i]!);
      if (style.step && i > a) ctx.lineTo(x, yOf(plane, samples.means[i - 1]!));
      ctx.lineTo(x, yOf(plane, samples.means[i]!));
    }
    ctx.stroke();
    if (style.dots || b - a === 1) {
      for (let i = a; i < b; i += 1) {
        ctx.beginPath();
        ctx.arc(
          xOf(plane, samples.times[i]!),
          yOf(plane, samples.means[i]!),
          style.width * 1.35,
          0,
          Math.PI * 2,
        );
        ctx.fill();
      }
    }
  }
}

export function dot(
  ctx: CanvasRenderingContext2D,
  plane: Plane,
  time: number,
  value: number,
  radius: number,
): void {
  ctx.beginPath();
  ctx.arc(xOf(plane, time), yOf(plane, value), radius, 0, Math.PI * 2);
  ctx.fill();
}
