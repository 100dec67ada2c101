import type { Clock } from '@/lib/clock';
import { Columns } from '@/lib/columns';
import { onFrame } from '@/lib/frameLoop';
import { isCoordinate } from '@/lib/numbers';
import type { Ring } from '@/lib/ring';
import { dot, type Plane, strokeColumns } from './lines';
import { tellNewest } from './newest';
import { Pane, paneElement, TIME_AXIS_HEIGHT } from './Pane';
import { chartTheme } from './palette';
import { Readout, type ReadoutRow } from './Readout';
import { GlidingRange } from './range';

/** What a live chart draws: it reads `ring` once per frame and never copies it. */
export interface LiveTrace {
  key: string;
  label: string;
  unit: string | null;
  /** Index into the palette. */
  color: number;
  ring: Ring;
  /** Longest distance in ms that a line bridges, asked for on each frame. */
  gap: () => number;
  step: boolean;
}

interface PaneState {
  pane: Pane;
  element: HTMLElement;
  unit: string | null;
  traces: LiveTrace[];
  range: GlidingRange;
}

const COLUMN_PIXELS = 1.5;
/** Less movement than this part of a pixel is not worth a drawing. */
const LEAST_MOVE = 0.2;
const MOST_PANES = 4;

let nextKey = 0;

/** Latitude and longitude have one unit and nothing in common: on one axis both would be flat. */
function paneOf({ unit, key = '' }: { unit: string | null; key?: string }): string {
  const metric = key.split('\u0000').at(-1)!;
  return isCoordinate(metric) ? `${unit}\u0000${metric}` : String(unit);
}

/** Groups traces by unit, most first; the rest share the last pane. */
export function groupByUnit<T extends { unit: string | null; key?: string }>(
  traces: T[],
  most = MOST_PANES,
): { unit: string | null; traces: T[] }[] {
  const groups = new Map<string, T[]>();
  for (const trace of traces) groups.set(paneOf(trace), [...(groups.get(paneOf(trace)) ?? []), trace]);
  const list = [...groups.values()].map((members) => ({ unit: members[0]!.unit, traces: members }));
  if (list.length <= most) return list;
  return [...list.slice(0, most - 1), { unit: null, traces: list.slice(most - 1).flatMap((g) => g.traces) }];
}

/** Those with something to draw; all where none has, for an empty plane still shows that time goes on. */
export function withData<T>(traces: T[], has: (trace: T) => boolean): T[] {
  const full = traces.filter(has);
  return full.length ? full : traces;
}

const hasReadings = ({ ring }: LiveTrace) => ring.length > 0;

/** A chart whose time axis moves on every frame. One pane for each unit, under one clock. */
export class LiveChartView {
  private panes: PaneState[] = [];
  private columns = new Map<string, Columns>();
  private traces: LiveTrace[] = [];
  private readonly readout: Readout;
  private readonly observer: ResizeObserver;
  private readonly stop: () => void;
  private readonly syncKey: string;
  private width = 0;
  private height = 0;
  private last = 0;
  private heldAt: number | null = null;
  private drawnTo = Number.NEGATIVE_INFINITY;
  private drawnSeen = -1;
  private dirty = true;
  /** The units that have panes: a sensor that this machine lacks takes no room. */
  private builtUnits = '';
  private hover: { pane: Pane; left: number; top: number } | null = null;
  /** Milliseconds that the last frame's drawing took; for measuring. */
  frameCost = 0;

  constructor(
    private readonly host: HTMLElement,
    private readonly clock: Clock,
    private span: number,
  ) {
    nextKey += 1;
    this.syncKey = `live-${nextKey}`;
    this.readout = new Readout(host);
    this.observer = new ResizeObserver(([entry]) => {
      const { width, height } = entry!.contentRect;
      this.width = Math.floor(width);
      this.height = Math.floor(height);
      this.layout();
    });
    this.observer.observe(host);
    this.stop = onFrame((now) => this.frame(now));
  }

  setSpan(span: number): void {
    this.span = span;
    this.dirty = true;
  }

  /** Holds the picture still, or lets it move again. */
  setPaused(paused: boolean): void {
    this.heldAt = paused ? this.clock.now() : null;
  }

  setTraces(traces: LiveTrace[]): void {
    this.traces = traces;
    const keys = new Set(traces.map((t) => t.key));
    for (const key of this.columns.keys()) if (!keys.has(key)) this.columns.delete(key);
    for (const key of keys) if (!this.columns.has(key)) this.columns.set(key, new Columns());
    this.build();
  }

  /** The colour scheme changed. */
  restyle(): void {
    this.build();
  }

  destroy(): void {
    this.stop();
    this.observer.disconnect();
    for (const { pane, element } of this.panes) {
      pane.destroy();
      element.remove();
    }
    this.readout.destroy();
  }

  private build(): void {
    const ranges = new Map(this.panes.map((p) => [p.unit, p.range]));
    for (const { pane, element } of this.panes) {
      pane.destroy();
      element.remove();
    }
    this.hover = null;
    this.dirty = true;
    this.readout.hide();
    if (this.width === 0) {
      this.panes = [];
      return;
    }
    const groups = this.groups();
    this.builtUnits = this.unitsOf(groups);
    this.panes = groups.map(({ unit, traces }, index) => {
      const element = paneElement(this.host, unit);
      const pane = new Pane(element, this.width, {
        unit,
        timeAxis: index === groups.length - 1,
        height: this.heightOf(index, groups.length),
        syncKey: this.syncKey,
        draw: (ctx, plane) => this.paint(ctx, plane, traces),
        onCursor: (source, left, top) => {
          this.hover = left === null ? null : { pane: source, left, top };
          if (left === null) this.readout.hide();
        },
      });
      return { pane, element, unit, traces, range: ranges.get(unit) ?? new GlidingRange() };
    });
  }

  /** Panes of units without any reading are left out; a trace that is only late joins its unit's pane. */
  private groups(): { unit: string | null; traces: LiveTrace[] }[] {
    const units = new Set(withData(this.traces, hasReadings).map((t) => t.unit));
    return groupByUnit(this.traces.filter((t) => units.has(t.unit)));
  }

  private unitsOf(groups: { unit: string | null; traces: LiveTrace[] }[]): string {
    return groups.map((g) => `${g.unit} ${g.traces.length}`).join('|');
  }

  private heightOf(index: number, count: number): number {
    const each = Math.floor((this.height - TIME_AXIS_HEIGHT - (count - 1) * 2) / Math.max(1, count));
    return Math.max(56, each) + (index === count - 1 ? TIME_AXIS_HEIGHT : 0);
  }

  private layout(): void {
    this.dirty = true;
    if (this.panes.length === 0) this.build();
    for (const [i, { pane }] of this.panes.entries())
      pane.resize(this.width, this.heightOf(i, this.panes.length));
  }

  private frame(now: number): void {
    if (this.panes.length === 0 || this.width === 0) return;
    if (this.unitsOf(this.groups()) !== this.builtUnits) this.build();
    const begun = performance.now();
    const elapsed = Math.min(250, now - this.last);
    this.last = now;
    const to = this.heldAt ?? this.clock.now();
    const from = to - this.span;
    const moved = Math.abs(to - this.drawnTo) / (this.span / this.panes[0]!.pane.plotWidth);
    let seen = 0;
    for (const { ring } of this.traces) seen += ring.total + ring.revision * 1e6;
    const gliding = this.panes.some((p) => !p.range.settled);
    const fresh = seen !== this.drawnSeen && this.heldAt === null; // what comes in the meantime waits
    if (moved < LEAST_MOVE && !fresh && !gliding && !this.dirty) {
      if (this.hover) this.point(this.hover);
      return;
    }
    this.drawnTo = to;
    this.drawnSeen = seen;
    this.dirty = false;
    for (const { pane, traces, range } of this.panes) {
      const width = (this.span / pane.plotWidth) * COLUMN_PIXELS;
      let low = Number.POSITIVE_INFINITY;
      let high = Number.NEGATIVE_INFINITY;
      for (const trace of traces) {
        const columns = this.columns.get(trace.key)!;
        columns.sync(trace.ring, width, from);
        for (let i = columns.lowerBound(from - width); i < columns.length; i += 1) {
          if (columns.firstTimes[i]! > to) break;
          if (columns.mins[i]! < low) low = columns.mins[i]!;
          if (columns.maxs[i]! > high) high = columns.maxs[i]!;
        }
      }
      range.update(low, high, now, elapsed);
      pane.show(from, to, range.low, range.high);
    }
    if (fresh)
      tellNewest(
        this.host,
        this.traces.map((t) => t.ring),
      );
    if (this.hover) this.point(this.hover);
    this.frameCost = performance.now() - begun;
  }

  private paint(ctx: CanvasRenderingContext2D, plane: Plane, traces: LiveTrace[]): void {
    const colors = chartTheme();
    const ratio = devicePixelRatio || 1;
    const many = traces.length > 12;
    // Lines of one pixel are rasterised several times as fast as wider ones.
    ctx.lineWidth = (many ? 1 : 1.6) * ratio;
    ctx.lineJoin = many ? 'bevel' : 'round';
    for (const trace of traces) {
      const columns = this.columns.get(trace.key);
      if (!columns || columns.length === 0) continue;
      const color = colors.series(trace.color);
      const gap = trace.gap();
      ctx.strokeStyle = color;
      strokeColumns(ctx, plane, columns, gap, trace.step);
      const end = columns.length - 1;
      const time = columns.lastTimes[end]!;
      // The newest reading is marked while it is fresh; a line that just ends has a silent device.
      if (!many && plane.to >= time && plane.to - time < gap) {
        const y = plane.top + ((plane.high - columns.lasts[end]!) / (plane.high - plane.low)) * plane.height;
        const x = plane.left + ((time - plane.from) / (plane.to - plane.from)) * plane.width;
        ctx.globalAlpha = 0.35;
        ctx.beginPath();
        ctx.moveTo(x, y);
        ctx.lineTo(plane.left + plane.width, y);
        ctx.stroke();
        ctx.globalAlpha = 1;
        ctx.fillStyle = color;
        dot(ctx, plane, time, columns.lasts[end]!, 2.6 * ratio);
      }
    }
    ctx.globalAlpha = 1;
  }

  private point({ pane, left, top }: { pane: Pane; left: number; top: number }): void {
    const state = this.panes.find((p) => p.pane === pane);
    if (!state) return;
    const time = pane.timeAt(left);
    const at = pane.plot.posToVal(top, 'y');
    const colors = chartTheme();
    const rows: ReadoutRow[] = [];
    for (const trace of state.traces) {
      const { ring } = trace;
      if (ring.length === 0) continue;
      let i = Math.min(ring.length - 1, ring.lowerBound(time));
      if (i > 0 && time - ring.time(i - 1) < ring.time(i) - time) i -= 1;
      if (Math.abs(ring.time(i) - time) > trace.gap()) continue;
      rows.push({
        color: colors.series(trace.color),
        label: trace.label,
        value: ring.value(i),
        unit: trace.unit,
      });
    }
    if (rows.length === 0) {
      this.readout.hide();
      return;
    }
    if (rows.length > 8) rows.sort((a, b) => Math.abs(a.value - at) - Math.abs(b.value - at));
    this.readout.show(pane.plotLeft + left, state.element.offsetTop + 8, time, rows, false);
  }
}
