import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import './charts.css';
import { formatTickValue } from '@/lib/numbers';
import { formatTick } from '@/lib/time';
import type { Plane } from './lines';
import { chartTheme } from './palette';
import { timeTicks } from './ticks';

export interface PaneOptions {
  unit: string | null;
  timeAxis: boolean;
  height: number;
  /** Panes of one key share their crosshair and selection. */
  syncKey: string;
  draw: (ctx: CanvasRenderingContext2D, plane: Plane, pane: Pane) => void;
  onZoom?: (from: number, to: number) => void;
  onZoomOut?: () => void;
  /** The wheel turned over `at`; `factor` below one zooms in. */
  onWheel?: (at: number, factor: number) => void;
  /** Dragged with Shift by a distance in ms since the last call; `done` where the button is let go. */
  onPan?: (by: number, done: boolean) => void;
  /** The crosshair moved in this pane (`left` in CSS pixels from the plot's edge; null: it left). */
  onCursor?: (pane: Pane, left: number | null, top: number) => void;
}

export const TIME_AXIS_HEIGHT = 26;
export const VALUE_AXIS_WIDTH = 52;
const TOP_ROOM = 8;
const RIGHT_ROOM = 10;

/** Where a pane is drawn: behind those that `host` has, with its unit in a corner. */
export function paneElement(host: HTMLElement, unit: string | null): HTMLElement {
  const element = document.createElement('div');
  element.className = 'chart-pane';
  const label = document.createElement('span');
  label.className = 'chart-unit';
  label.textContent = unit ?? '';
  element.append(label);
  host.append(element);
  return element;
}

/** uPlot brings axes, crosshair and selection; the lines are drawn by `draw`, straight from typed arrays. */
export class Pane {
  readonly plot: uPlot;
  private from = 0;
  private to = 1;
  private low = 0;
  private high = 1;
  private empty = false;

  constructor(
    host: HTMLElement,
    width: number,
    readonly options: PaneOptions,
  ) {
    const axis = (values: uPlot.Axis['values'], extra: uPlot.Axis): uPlot.Axis => ({
      stroke: () => chartTheme().faint,
      font: chartTheme().font,
      grid: { stroke: () => chartTheme().grid, width: 1 },
      ticks: { show: false },
      values,
      ...extra,
    });
    this.plot = new uPlot(
      {
        width,
        height: options.height,
        ms: 1,
        pxAlign: 0,
        padding: [TOP_ROOM, RIGHT_ROOM, options.timeAxis ? 0 : 6, 0],
        legend: { show: false },
        cursor: {
          x: true,
          y: false,
          points: { show: false },
          drag: { x: Boolean(options.onZoom), y: false, setScale: false },
          sync: { key: options.syncKey },
          bind: {
            mousedown: (_, __, handler) => (event: MouseEvent) => {
              if (event.shiftKey && event.button === 0 && options.onPan) this.startPan(event);
              else handler(event);
              return null;
            },
            dblclick: () => () => {
              options.onZoomOut?.();
              return null;
            },
          },
        },
        scales: {
          x: { time: true, auto: false, range: () => [this.from, this.to] },
          y: { auto: false, range: () => [this.low, this.high] },
        },
        axes: [
          axis(
            (u, splits, __, ___, step) =>
              // A label that the edge would cut is left out.
              splits.map((ms) => (u.valToPos(ms, 'x') > u.over.clientWidth - 22 ? '' : formatTick(ms, step))),
            {
              splits: (_, __, min, max, step) => timeTicks(min, max, step),
              size: TIME_AXIS_HEIGHT,
              space: 84,
              gap: 6,
              show: true,
              ...(options.timeAxis ? {} : { values: (_, splits) => splits.map(() => ''), size: 0 }),
            },
          ),
          axis(
            (u, splits, __, ___, step) =>
              // The unit stands at the top; a label would run into it.
              splits.map((v) =>
                this.empty || u.valToPos(v, 'y') < 14 ? '' : formatTickValue(v, step, options.unit),
              ),
            {
              size: VALUE_AXIS_WIDTH,
              space: (u: uPlot) => (u.height < 130 ? 22 : 38),
              gap: 6,
            },
          ),
        ],
        series: [{}, { show: true, paths: () => null, points: { show: false } }],
        hooks: {
          draw: [(u) => this.paint(u)],
          setSelect: [
            (u) => {
              const { left, width: wide } = u.select;
              const mine = u.cursor.event !== undefined && u.cursor.event !== null;
              u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
              if (mine && wide > 4) options.onZoom?.(u.posToVal(left, 'x'), u.posToVal(left + wide, 'x'));
            },
          ],
          setCursor: [
            (u) => {
              // Only the pane under the pointer has an event; the others follow by the sync key.
              if (!u.cursor.event) return;
              const left = u.cursor.left ?? -1;
              options.onCursor?.(this, left < 0 ? null : left, u.cursor.top ?? 0);
            },
          ],
        },
      },
      [
        [0, 1],
        [null, null],
      ],
      host,
    );
    if (options.onWheel)
      this.plot.over.addEventListener(
        'wheel',
        (event) => {
          event.preventDefault();
          // Lines and pages, where the device counts in them, as pixels.
          const pixels = event.deltaY * (event.deltaMode === 0 ? 1 : event.deltaMode === 1 ? 16 : 400);
          const left = event.clientX - this.plot.over.getBoundingClientRect().left;
          options.onWheel?.(this.timeAt(left), Math.exp(Math.max(-240, Math.min(240, pixels)) * 0.002));
        },
        { passive: false },
      );
  }

  private startPan(begun: MouseEvent): void {
    begun.preventDefault();
    let last = begun.clientX;
    const each = (this.to - this.from) / this.plotWidth;
    const move = (event: MouseEvent) => {
      this.options.onPan?.((last - event.clientX) * each, false);
      last = event.clientX;
    };
    const end = () => {
      window.removeEventListener('mousemove', move);
      window.removeEventListener('mouseup', end);
      this.options.onPan?.(0, true);
    };
    window.addEventListener('mousemove', move);
    window.addEventListener('mouseup', end);
  }

  /** `low` is NaN where there is nothing to show: the time axis moves on over an empty plane. */
  show(from: number, to: number, low: number, high: number): void {
    this.from = from;
    this.to = to;
    this.empty = Number.isNaN(low);
    this.low = this.empty ? 0 : low;
    this.high = this.empty ? 1 : high;
    this.plot.batch(() => {
      this.plot.setScale('x', { min: from, max: to });
      this.plot.setScale('y', { min: this.low, max: this.high });
    });
  }

  redraw(): void {
    this.plot.redraw(false, true);
  }

  resize(width: number, height: number): void {
    if (width !== this.plot.width || height !== this.plot.height) this.plot.setSize({ width, height });
  }

  timeAt(left: number): number {
    return this.plot.posToVal(left, 'x');
  }

  /** Where the plot begins within the host, in CSS pixels. */
  get plotLeft(): number {
    return this.plot.over.offsetLeft;
  }

  /** CSS pixels across which time runs; known before the first drawing. */
  get plotWidth(): number {
    return Math.max(1, this.plot.width - VALUE_AXIS_WIDTH - RIGHT_ROOM);
  }

  destroy(): void {
    this.plot.destroy();
  }

  private paint(u: uPlot): void {
    const { ctx, bbox } = u;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top - TOP_ROOM, bbox.width + 4, bbox.height + TOP_ROOM + 4);
    ctx.clip();
    ctx.lineJoin = 'round';
    ctx.lineCap = 'round';
    const plane: Plane = {
      left: bbox.left,
      top: bbox.top,
      width: bbox.width,
      height: bbox.height,
      from: this.from,
      to: this.to,
      low: this.low,
      high: this.high,
    };
    this.options.draw(ctx, plane, this);
    ctx.restore();
  }
}
