import type { Clock } from '@/lib/clock';
import { onFrame } from '@/lib/frameLoop';
import type { Ring } from '@/lib/ring';
import { MINUTE, SECOND } from '@/lib/time';
import { pan, type Range, resolveView, type View, zoomAround } from '@/lib/window';
import { groupByUnit, withData } from './LiveChartView';
import { bound, dot, drawSamples, type Plane, type Samples, visible } from './lines';
import { tellNewest } from './newest';
import { Pane, paneElement, TIME_AXIS_HEIGHT } from './Pane';
import { chartTheme } from './palette';
import { Readout, type ReadoutRow } from './Readout';
import { GlidingRange } from './range';

/** One metric's history, and the ring that goes on where the history ends. */
export interface HistoryTrace {
  key: string;
  label: string;
  unit: string | null;
  color: number;
  samples: Samples | null;
  /** Width of a window in ms; 0 for raw readings. */
  window: number;
  ring: Ring | null;
  gap: () => number;
  step: boolean;
}

interface PaneState {
  pane: Pane;
  element: HTMLElement;
  unit: string | null;
  keys: string[];
  range: GlidingRange;
}

/** Readings this far apart are shown one by one. */
function isSparse(times: Float64Array, start: number, end: number, plane: Plane, pixels: number): boolean {
  if (end - start < 2) return true;
  const each = (times[end - 1]! - times[start]!) / (end - start - 1);
  return (each / (plane.to - plane.from)) * plane.width > pixels;
}

/** So long after the last turn of the wheel the picture stands. */
const REST = 250;

let nextKey = 0;

/** History with its live end. Still views are drawn when something changed; a view that ends now moves on. */
export class HistoryChartView {
  private panes: PaneState[] = [];
  private traces = new Map<string, HistoryTrace>();
  private view: View = { kind: 'tail', span: 3_600_000 };
  private readonly readout: Readout;
  private readonly observer: ResizeObserver;
  private readonly stop: () => void;
  private readonly syncKey: string;
  private width = 0;
  private dirty = true;
  private jump = true;
  private last = 0;
  private lastDrawn = 0;
  private drawnState = '';
  private builtUnits = '';
  private hover: { pane: Pane; left: number } | null = null;
  onZoom: (from: number, to: number) => void = () => {};
  onZoomOut: () => void = () => {};
  private moved: ReturnType<typeof setTimeout> | null = null;

  constructor(
    private readonly host: HTMLElement,
    private readonly clock: Clock,
    private readonly paneHeight: number,
    private readonly onWidth: (plotWidth: number) => void,
  ) {
    nextKey += 1;
    this.syncKey = `history-${nextKey}`;
    this.readout = new Readout(host);
    this.observer = new ResizeObserver(([entry]) => {
      const width = Math.floor(entry!.contentRect.width);
      if (width === this.width || width === 0) return;
      this.width = width;
      if (this.panes.length === 0) this.build();
      for (const [i, { pane }] of this.panes.entries()) pane.resize(width, this.heightOf(i));
      this.dirty = true;
      if (this.panes[0]) this.onWidth(this.panes[0].pane.plotWidth);
    });
    this.observer.observe(host);
    this.stop = onFrame((now) => this.frame(now));
  }

  setView(view: View): void {
    if (this.moved) clearTimeout(this.moved);
    this.moved = null;
    this.view = view;
    this.dirty = true;
    this.jump = true;
  }

  setTraces(traces: HistoryTrace[]): void {
    const shape = (list: Iterable<HistoryTrace>) =>
      [...list].map((t) => `${t.key}|${t.unit}|${t.color}`).join();
    const same = shape(this.traces.values()) === shape(traces);
    this.traces = new Map(traces.map((t) => [t.key, t]));
    if (!same) this.build();
    this.dirty = true;
  }

  restyle(): void {
    this.build();
  }

  destroy(): void {
    if (this.moved) clearTimeout(this.moved);
    this.stop();
    this.observer.disconnect();
    this.clear();
    this.readout.destroy();
  }

  /** Follows the hand at once; the page hears of it when the hand rests, and fetches then. */
  private move(change: (range: Range, now: number) => Range, done = false): void {
    const now = this.clock.now();
    const range = change(resolveView(this.view, now), now);
    this.view = { kind: 'fixed', ...range };
    this.dirty = true;
    if (this.moved) clearTimeout(this.moved);
    this.moved = setTimeout(
      () => {
        this.moved = null;
        this.onZoom(range.from, range.to);
      },
      done ? 0 : REST,
    );
  }

  private clear(): void {
    for (const { pane, element } of this.panes) {
      pane.destroy();
      element.remove();
    }
    this.panes = [];
    this.hover = null;
    this.readout.hide();
  }

  private build(): void {
    this.clear();
    if (this.width === 0) return;
    const groups = this.groups();
    this.builtUnits = this.unitsOf(groups);
    this.panes = groups.map(({ unit, traces }, index) => {
      const element = paneElement(this.host, unit);
      const keys = traces.map((t) => t.key);
      const pane = new Pane(element, this.width, {
        unit,
        timeAxis: index === groups.length - 1,
        height: this.paneHeight + (index === groups.length - 1 ? TIME_AXIS_HEIGHT : 0),
        syncKey: this.syncKey,
        draw: (ctx, plane) => this.paint(ctx, plane, keys),
        onZoom: (from, to) => this.onZoom(from, to),
        onZoomOut: () => this.onZoomOut(),
        onWheel: (at, factor) => this.move((range, now) => zoomAround(range, at, factor, now)),
        onPan: (by, done) => this.move((range, now) => pan(range, by, now), done),
        onCursor: (source, left) => {
          this.hover = left === null ? null : { pane: source, left };
          if (left === null) this.readout.hide();
          else this.point();
        },
      });
      return { pane, element, unit, keys, range: new GlidingRange() };
    });
    this.dirty = true;
    this.jump = true;
    if (this.panes[0]) this.onWidth(this.panes[0].pane.plotWidth);
  }

  /** Panes of units without any reading are left out. */
  private groups(): { unit: string | null; traces: HistoryTrace[] }[] {
    const all = [...this.traces.values()];
    const units = new Set(
      withData(all, (t) => Boolean(t.samples?.times.length || t.ring?.length)).map((t) => t.unit),
    );
    return groupByUnit(
      all.filter((t) => units.has(t.unit)),
      6,
    );
  }

  private unitsOf(groups: { unit: string | null; traces: HistoryTrace[] }[]): string {
    return groups.map((g) => `${g.unit} ${g.traces.length}`).join('|');
  }

  private heightOf(index: number): number {
    return this.paneHeight + (index === this.panes.length - 1 ? TIME_AXIS_HEIGHT : 0);
  }

  private frame(now: number): void {
    if (this.panes.length === 0) return;
    if (this.unitsOf(this.groups()) !== this.builtUnits) this.build();
    const { from, to } = resolveView(this.view, this.clock.now());
    // A day's view moves a pixel in a minute: no need to draw it sixty times a second.
    const pixel = (to - from) / this.panes[0]!.pane.plotWidth;
    const pause = this.view.kind === 'tail' ? Math.min(SECOND, pixel / 4) : Number.POSITIVE_INFINITY;
    const state = [...this.traces.values()].map((t) => t.ring?.total ?? 0).join();
    const gliding = now - this.lastDrawn < 16 * 40 && this.panes.some((p) => !p.range.settled);
    const fresh = this.view.kind === 'tail' && state !== this.drawnState;
    if (!this.dirty && !gliding && !fresh && now - this.lastDrawn < pause) return;
    const elapsed = this.jump ? 1e9 : Math.min(250, now - this.last);
    this.last = now;
    this.lastDrawn = now;
    this.drawnState = state;
    for (const { pane, keys, range } of this.panes) {
      let low = Number.POSITIVE_INFINITY;
      let high = Number.NEGATIVE_INFINITY;
      for (const key of keys) {
        const trace = this.traces.get(key)!;
        if (trace.samples) {
          const [start, end] = visible(trace.samples.times, from, to);
          for (let i = start; i < end; i += 1) {
            if (trace.samples.lows[i]! < low) low = trace.samples.lows[i]!;
            if (trace.samples.highs[i]! > high) high = trace.samples.highs[i]!;
          }
        }
        this.eachTail(trace, from, to, (_, value) => {
          if (value < low) low = value;
          if (value > high) high = value;
        });
      }
      if (this.jump) range.reset();
      range.update(low, high, now, elapsed);
      pane.show(from, to, range.low, range.high);
    }
    if (fresh)
      tellNewest(
        this.host,
        [...this.traces.values()].map((t) => t.ring),
      );
    this.dirty = false;
    this.jump = false;
    if (this.hover) this.point();
  }

  /** Readings that came after the history was fetched. */
  private eachTail(
    trace: HistoryTrace,
    from: number,
    to: number,
    visit: (time: number, value: number) => void,
  ): void {
    const { ring, samples, window } = trace;
    if (!ring || ring.length === 0) return;
    const known = samples?.times.length ? samples.times.at(-1)! + window / 2 : from;
    for (let i = ring.lowerBound(known + 0.001); i < ring.length; i += 1) {
      const time = ring.time(i);
      if (time > to) return;
      visit(time, ring.value(i));
    }
  }

  private paint(ctx: CanvasRenderingContext2D, plane: Plane, keys: string[]): void {
    const colors = chartTheme();
    const ratio = devicePixelRatio || 1;
    for (const key of keys) {
      const trace = this.traces.get(key)!;
      const color = colors.series(trace.color);
      const gap = Math.max(trace.gap(), trace.window * 2.5);
      const { samples } = trace;
      if (samples?.times.length) {
        const [start, end] = visible(samples.times, plane.from, plane.to);
        drawSamples(ctx, plane, samples, {
          color,
          gap,
          band: trace.window > 0 && samples.lows !== samples.means,
          step: trace.step,
          width: 1.5 * ratio,
          dots: isSparse(samples.times, start, end, plane, 16 * ratio),
        });
      }
      ctx.strokeStyle = color;
      ctx.fillStyle = color;
      ctx.lineWidth = 1.5 * ratio;
      const x = (time: number) => plane.left + ((time - plane.from) / (plane.to - plane.from)) * plane.width;
      const y = (value: number) =>
        plane.top + ((plane.high - value) / (plane.high - plane.low)) * plane.height;
      let lastTime = samples?.times.length ? samples.times.at(-1)! : Number.NEGATIVE_INFINITY;
      let lastValue = samples?.times.length ? samples.means.at(-1)! : 0;
      ctx.beginPath();
      if (Number.isFinite(lastTime)) ctx.moveTo(x(lastTime), y(lastValue));
      this.eachTail(trace, plane.from, plane.to, (time, value) => {
        if (time - lastTime > gap) ctx.moveTo(x(time), y(value));
        else {
          if (trace.step) ctx.lineTo(x(time), y(lastValue));
          ctx.lineTo(x(time), y(value));
        }
        lastTime = time;
        lastValue = value;
      });
      ctx.stroke();
      if (this.view.kind === 'tail' && plane.to - lastTime < gap)
        dot(ctx, plane, lastTime, lastValue, 2.6 * ratio);
    }
  }

  private point(): void {
    if (!this.hover) return;
    const { pane, left } = this.hover;
    const state = this.panes.find((p) => p.pane === pane);
    if (!state) return;
    const time = pane.timeAt(left);
    const { from, to } = resolveView(this.view, this.clock.now());
    const reach = Math.max(((to - from) / pane.plotWidth) * 12, MINUTE / 60);
    const colors = chartTheme();
    const rows: ReadoutRow[] = [];
    let shownTime = time;
    // All panes answer, the pointed one first: one moment, every metric.
    for (const key of [...state.keys, ...this.panes.filter((p) => p !== state).flatMap((p) => p.keys)]) {
      const trace = this.traces.get(key)!;
      const near = this.nearest(trace, time, from, to);
      if (!near || Math.abs(near.time - time) > Math.max(reach, trace.window)) continue;
      if (rows.length === 0) shownTime = near.time;
      const row: ReadoutRow = {
        color: colors.series(trace.color),
        label: trace.label,
        value: near.value,
        unit: trace.unit,
      };
      if (near.low !== undefined && near.high !== undefined) {
        row.low = near.low;
        row.high = near.high;
      }
      rows.push(row);
    }
    if (rows.length === 0) this.readout.hide();
    else this.readout.show(pane.plotLeft + left, state.element.offsetTop + 8, shownTime, rows, true);
  }

  private nearest(
    trace: HistoryTrace,
    time: number,
    from: number,
    to: number,
  ): { time: number; value: number; low?: number; high?: number } | null {
    let best: { time: number; value: number; low?: number; high?: number } | null = null;
    const { samples } = trace;
    if (samples?.times.length) {
      let i = Math.min(samples.times.length - 1, bound(samples.times, time));
      if (i > 0 && time - samples.times[i - 1]! < samples.times[i]! - time) i -= 1;
      best = { time: samples.times[i]!, value: samples.means[i]! };
      if (trace.window) {
        best.low = samples.lows[i]!;
        best.high = samples.highs[i]!;
      }
    }
    this.eachTail(trace, from, to, (t, value) => {
      if (!best || Math.abs(t - time) < Math.abs(best.time - time)) best = { time: t, value };
    });
    return best;
  }
}
