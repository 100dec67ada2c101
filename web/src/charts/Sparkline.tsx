import { useEffect, useRef } from 'react';
import { clock } from '@/lib/clock';
import { Columns } from '@/lib/columns';
import { onFrame } from '@/lib/frameLoop';
import type { Ring } from '@/lib/ring';
import { type Plane, strokeColumns } from './lines';
import { chartTheme } from './palette';

interface Source {
  ring: Ring;
  interval: number;
}

/** The last minutes of one series in the height of a line of text. Redrawn when a reading came or a pixel has passed. */
export function Sparkline({
  source,
  gap,
  span = 180_000,
  width = 96,
  height = 24,
  muted = false,
}: {
  source: Source;
  gap: (source: Source) => number;
  span?: number;
  width?: number;
  height?: number;
  muted?: boolean;
}) {
  const canvas = useRef<HTMLCanvasElement>(null);

  useEffect(() => {
    const element = canvas.current!;
    const ctx = element.getContext('2d');
    if (!ctx) return;
    const columns = new Columns(128);
    const ratio = devicePixelRatio || 1;
    element.width = width * ratio;
    element.height = height * ratio;
    const pixel = span / width;
    let drawn = '';
    return onFrame(() => {
      const to = Math.ceil(clock.now() / pixel) * pixel;
      const dark = chartTheme().dark;
      const state = `${to} ${source.ring.total} ${source.ring.revision} ${dark}`;
      if (state === drawn) return;
      drawn = state;
      const from = to - span;
      columns.sync(source.ring, pixel * 1.5, from);
      ctx.clearRect(0, 0, element.width, element.height);
      if (columns.length === 0) return;
      let low = Number.POSITIVE_INFINITY;
      let high = Number.NEGATIVE_INFINITY;
      for (let i = columns.lowerBound(from); i < columns.length; i += 1) {
        low = Math.min(low, columns.mins[i]!);
        high = Math.max(high, columns.maxs[i]!);
      }
      if (!(high >= low)) return;
      // Noise of a thousandth is not a mountain.
      const room = Math.max(high - low, Math.abs(high) * 0.01, 1e-9) / 2;
      const middle = (low + high) / 2;
      const plane: Plane = {
        left: 0,
        top: 3 * ratio,
        width: element.width - 3 * ratio,
        height: element.height - 6 * ratio,
        from,
        to,
        low: middle - room,
        high: middle + room,
      };
      const theme = chartTheme();
      ctx.lineWidth = 1.3 * ratio;
      ctx.lineJoin = 'round';
      ctx.strokeStyle = muted ? theme.faint : theme.series(0);
      strokeColumns(ctx, plane, columns, Math.max(gap(source), pixel * 3), false);
      const end = columns.length - 1;
      const x = ((columns.lastTimes[end]! - from) / span) * plane.width;
      const y = plane.top + ((plane.high - columns.lasts[end]!) / (plane.high - plane.low)) * plane.height;
      ctx.fillStyle = ctx.strokeStyle;
      ctx.beginPath();
      ctx.arc(x, y, 1.7 * ratio, 0, Math.PI * 2);
      ctx.fill();
    }, 120);
  }, [source, gap, span, width, height, muted]);

  // biome-ignore lint/a11y/noAriaHiddenOnFocusable: a canvas without a tab index takes no focus
  return <canvas ref={canvas} style={{ width, height, display: 'block' }} aria-hidden="true" />;
}
