import { chartTheme } from '@/charts/palette';
import { onFrame } from '@/lib/frameLoop';
import { type Cluster, cluster } from './clusters';
import type { Land } from './land';
import {
  bounded,
  type Camera,
  fitting,
  type Point,
  project,
  type Size,
  scaleBar,
  toScreen,
  zoomed,
} from './mercator';
import type { Whereabouts } from './position';

export interface Marker {
  id: string;
  name: string;
  where: Whereabouts;
  state: () => 'online' | 'silent' | 'never';
}

interface Placed {
  marker: Marker;
  world: Point;
  at: Point;
}

const TOGETHER = 17;
const REACH = 22;
const ORDER = { silent: 2, never: 1, online: 0 };

/** Land, tracks and markers on one canvas. Positions are read while drawing, outside React, a few times a second. */
export class MapView {
  onPick: (id: string) => void = () => {};
  private camera: Camera | null = null;
  private size: Size = { width: 0, height: 0 };
  private land: Land | null = null;
  private markers: Marker[] = [];
  private track: Point[] = [];
  private selected: string | null = null;
  private clusters: Cluster<Placed>[] = [];
  private hovered: Point | null = null;
  private pointers = new Map<number, Point>();
  private moved = 0;
  private fitted = false;
  private touched = false;
  private readonly ground = document.createElement('canvas');
  private groundIs = '';
  private due = true;
  private drawnAt = 0;
  private readonly ctx: CanvasRenderingContext2D | null;
  private readonly stops: (() => void)[] = [];

  constructor(
    private readonly canvas: HTMLCanvasElement,
    private readonly tip: HTMLElement,
    private readonly closest: number,
  ) {
    this.ctx = canvas.getContext('2d');
    const observer = new ResizeObserver(() => this.resize());
    observer.observe(canvas);
    this.stops.push(() => observer.disconnect());
    const listen = <K extends keyof HTMLElementEventMap>(
      type: K,
      to: (event: HTMLElementEventMap[K]) => void,
    ) => {
      canvas.addEventListener(type, to, { passive: false });
      this.stops.push(() => canvas.removeEventListener(type, to));
    };
    listen('pointerdown', (e) => this.onDown(e));
    listen('pointermove', (e) => this.onMove(e));
    listen('pointerup', (e) => this.onUp(e));
    listen('pointercancel', (e) => this.pointers.delete(e.pointerId));
    listen('pointerleave', () => this.hover(null));
    listen('wheel', (e) => {
      e.preventDefault();
      const lines = e.deltaMode === 1 ? 16 : 1;
      this.zoom(2 ** (Math.max(-240, Math.min(240, -e.deltaY * lines)) / 220), this.at(e));
    });
    listen('keydown', (e) => this.onKey(e));
    this.stops.push(
      onFrame((now) => {
        if (!this.due && now - this.drawnAt < 200) return;
        this.due = false;
        this.drawnAt = now;
        this.draw();
      }),
    );
  }

  close(): void {
    for (const stop of this.stops) stop();
  }

  setLand(land: Land): void {
    this.land = land;
    this.due = true;
  }

  /** The first ones that have a place are all brought into view; later ones leave it as it is. */
  setMarkers(markers: Marker[]): void {
    this.markers = markers;
    this.due = true;
  }

  select(id: string | null, track: Point[]): void {
    this.selected = id;
    this.track = track;
    this.due = true;
    // A map of one device shows all of its track, unless somebody has moved it already.
    if (this.fitted && !this.touched && this.markers.length === 1) this.fit();
  }

  /** What holds all devices, or the selected one's track. */
  fit(): void {
    const points = this.markers.flatMap((m) => {
      const place = m.where();
      return place ? [project(place.latitude, place.longitude)] : [];
    });
    this.camera = fitting([...points, ...(this.selected ? this.track : [])], this.size, this.closest);
    this.fitted = points.length > 0;
    this.due = true;
  }

  /** Moves to a device, if it has a place. */
  show(id: string): void {
    const place = this.markers.find((m) => m.id === id)?.where();
    if (!place || !this.camera || this.markers.length === 1) return;
    const { x, y } = project(place.latitude, place.longitude);
    const scale = Math.max(this.camera.scale, Math.min(this.closest, 256 * 2 ** 6));
    this.camera = bounded({ x, y, scale }, this.size);
    this.due = true;
  }

  zoom(factor: number, at: Point = { x: this.size.width / 2, y: this.size.height / 2 }): void {
    if (!this.camera) return;
    this.touched = true;
    this.camera = zoomed(this.camera, this.size, factor, at);
    this.due = true;
  }

  private pan(dx: number, dy: number): void {
    const { camera } = this;
    if (!camera) return;
    this.touched = true;
    this.camera = bounded(
      { ...camera, x: camera.x - dx / camera.scale, y: camera.y - dy / camera.scale },
      this.size,
    );
    this.due = true;
  }

  private resize(): void {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    if (!width || !height) return;
    const ratio = devicePixelRatio || 1;
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(height * ratio);
    this.size = { width, height };
    if (this.camera && this.fitted) this.camera = bounded(this.camera, this.size);
    this.due = true;
  }

  private at(event: MouseEvent): Point {
    const box = this.canvas.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }

  private onDown(event: PointerEvent): void {
    this.canvas.setPointerCapture(event.pointerId);
    if (this.pointers.size === 0) this.moved = 0;
    this.pointers.set(event.pointerId, this.at(event));
  }

  private onMove(event: PointerEvent): void {
    const now = this.at(event);
    const before = this.pointers.get(event.pointerId);
    if (!before) {
      this.hover(now);
      return;
    }
    const other = [...this.pointers].find(([id]) => id !== event.pointerId)?.[1];
    this.pointers.set(event.pointerId, now);
    this.moved += Math.hypot(now.x - before.x, now.y - before.y);
    if (other) {
      const apart = (p: Point) => Math.max(Math.hypot(p.x - other.x, p.y - other.y), 1);
      this.zoom(apart(now) / apart(before), { x: (now.x + other.x) / 2, y: (now.y + other.y) / 2 });
      this.pan((now.x - before.x) / 2, (now.y - before.y) / 2);
    } else this.pan(now.x - before.x, now.y - before.y);
  }

  private onUp(event: PointerEvent): void {
    const alone = this.pointers.size === 1;
    if (!this.pointers.delete(event.pointerId) || !alone || this.moved > 6) return;
    const found = this.under(this.at(event));
    if (!found) return;
    const [first] = found.members;
    if (found.members.length === 1) {
      this.onPick(first!.marker.id);
      return;
    }
    this.camera = fitting(
      found.members.map((m) => m.world),
      this.size,
      256 * 2 ** 14,
    );
    this.due = true;
  }

  private onKey(event: KeyboardEvent): void {
    const steps: Record<string, () => void> = {
      ArrowLeft: () => this.pan(60, 0),
      ArrowRight: () => this.pan(-60, 0),
      ArrowUp: () => this.pan(0, 60),
      ArrowDown: () => this.pan(0, -60),
      '+': () => this.zoom(1.5),
      '=': () => this.zoom(1.5),
      '-': () => this.zoom(1 / 1.5),
      '0': () => this.fit(),
    };
    const step = event.ctrlKey || event.metaKey || event.altKey ? undefined : steps[event.key];
    if (!step) return;
    event.preventDefault();
    step();
  }

  private under(point: Point): Cluster<Placed> | null {
    let best: Cluster<Placed> | null = null;
    let nearest = REACH;
    for (const c of this.clusters) {
      const distance = Math.hypot(c.x - point.x, c.y - point.y);
      if (distance < nearest) {
        nearest = distance;
        best = c;
      }
    }
    return best;
  }

  private hover(at: Point | null): void {
    this.hovered = at;
    const found = at && this.under(at);
    this.canvas.style.cursor = found ? 'pointer' : 'grab';
    this.tip.hidden = !found;
    if (!found) return;
    const names = found.members.slice(0, 4).map((m) => m.marker.name);
    const rest = found.members.length - names.length;
    this.tip.textContent = names.join(', ') + (rest > 0 ? ` and ${rest} more` : '');
    this.tip.style.transform = `translate(${Math.min(found.x + 12, this.size.width - 190)}px, ${found.y + 12}px)`;
  }

  private draw(): void {
    const { ctx, size } = this;
    if (!ctx || !size.width) return;
    if (!this.camera || !this.fitted) this.fit();
    const camera = this.camera!;
    const style = getComputedStyle(this.canvas);
    const token = (name: string) => style.getPropertyValue(name).trim();
    const ratio = this.canvas.width / size.width;
    this.drawGround(camera, ratio, token);
    ctx.setTransform(1, 0, 0, 1, 0, 0);
    ctx.drawImage(this.ground, 0, 0);
    ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.drawNames(ctx, camera, token('--map-ink'));
    this.drawTrack(ctx, camera, token('--accent'));
    this.drawMarkers(ctx, camera, token);
    this.drawScale(ctx, camera, token('--map-ink'));
    if (this.hovered && this.pointers.size === 0) this.hover(this.hovered);
  }

  /** Water and land, kept until the view or the colours change: markers move more often than the earth. */
  private drawGround(camera: Camera, ratio: number, token: (name: string) => string): void {
    const { ground, size, land } = this;
    const { width, height } = this.canvas;
    const is = JSON.stringify([camera, width, height, token('--map-land'), land !== null]);
    const ctx = ground.getContext('2d');
    if (is === this.groundIs || !ctx) return;
    this.groundIs = is;
    ground.width = width;
    ground.height = height;
    ctx.fillStyle = token('--map-water');
    ctx.fillRect(0, 0, width, height);
    if (!land) return;
    const scale = camera.scale * ratio;
    const left = (size.width / 2 - camera.x * camera.scale) * ratio;
    const top = (size.height / 2 - camera.y * camera.scale) * ratio;
    ctx.setTransform(scale, 0, 0, scale, left, top);
    ctx.lineJoin = 'round';
    ctx.fillStyle = token('--map-land');
    ctx.fill(land.shores, 'evenodd');
    ctx.lineWidth = 1 / camera.scale;
    ctx.strokeStyle = token('--map-line');
    ctx.stroke(land.shores);
    ctx.stroke(land.borders);
  }

  private drawNames(ctx: CanvasRenderingContext2D, camera: Camera, ink: string): void {
    ctx.font = chartTheme().font;
    ctx.fillStyle = ink;
    ctx.textAlign = 'center';
    ctx.textBaseline = 'middle';
    for (const { name, at, width } of this.land?.countries ?? []) {
      const { x, y } = toScreen(camera, this.size, at);
      if (x < 0 || y < 0 || x > this.size.width || y > this.size.height) continue;
      if (ctx.measureText(name).width < width * camera.scale * 0.8) ctx.fillText(name, x, y);
    }
  }

  private drawScale(ctx: CanvasRenderingContext2D, camera: Camera, ink: string): void {
    const { metres, pixels } = scaleBar(camera, 90);
    const bottom = this.size.height - 12;
    ctx.beginPath();
    ctx.moveTo(12, bottom - 4);
    ctx.lineTo(12, bottom);
    ctx.lineTo(12 + pixels, bottom);
    ctx.lineTo(12 + pixels, bottom - 4);
    ctx.lineWidth = 1.5;
    ctx.strokeStyle = ctx.fillStyle = ink;
    ctx.stroke();
    ctx.font = chartTheme().font;
    ctx.textAlign = 'left';
    ctx.textBaseline = 'bottom';
    ctx.fillText(metres < 1000 ? `${metres} m` : `${metres / 1000} km`, 16, bottom - 3);
  }

  private drawTrack(ctx: CanvasRenderingContext2D, camera: Camera, color: string): void {
    const place = this.markers.find((m) => m.id === this.selected)?.where();
    if (!place || this.track.length === 0) return;
    ctx.beginPath();
    for (const [i, point] of [...this.track, project(place.latitude, place.longitude)].entries()) {
      const { x, y } = toScreen(camera, this.size, point);
      if (i === 0) ctx.moveTo(x, y);
      else ctx.lineTo(x, y);
    }
    ctx.lineWidth = 2.5;
    ctx.lineJoin = ctx.lineCap = 'round';
    ctx.strokeStyle = color;
    ctx.stroke();
  }

  private drawMarkers(ctx: CanvasRenderingContext2D, camera: Camera, token: (name: string) => string): void {
    const placed: Placed[] = [];
    for (const marker of this.markers) {
      const place = marker.where();
      if (!place) continue;
      const world = project(place.latitude, place.longitude);
      const at = toScreen(camera, this.size, world);
      const { width, height } = this.size;
      if (at.x > -20 && at.y > -20 && at.x < width + 20 && at.y < height + 20)
        placed.push({ marker, world, at });
    }
    // The selected one stands by itself.
    const chosen = placed.filter((p) => p.marker.id === this.selected);
    const rest = placed.filter((p) => p.marker.id !== this.selected);
    this.clusters = [
      ...cluster(rest, TOGETHER),
      ...chosen.map((p) => ({ x: p.at.x, y: p.at.y, members: [p] })),
    ];
    const colors = { online: token('--good-dot'), silent: token('--warn-dot'), never: token('--ink-3') };
    const paper = token('--raised');
    for (const { x, y, members } of this.clusters) {
      const state = members
        .map((m) => m.marker.state())
        .reduce((worst, s) => (ORDER[s] > ORDER[worst] ? s : worst));
      const many = members.length > 1;
      const picked = members[0]!.marker.id === this.selected;
      const radius = many ? 10 + Math.min(6, members.length / 8) : picked ? 8 : 6;
      ctx.beginPath();
      ctx.arc(x, y, radius, 0, Math.PI * 2);
      // A silent one is a ring, as everywhere.
      ctx.fillStyle = many || state !== 'online' ? paper : colors.online;
      ctx.fill();
      ctx.lineWidth = picked ? 3 : 2;
      ctx.strokeStyle = picked ? token('--accent') : many || state !== 'online' ? colors[state] : paper;
      ctx.stroke();
      if (many) {
        ctx.font = chartTheme().font;
        ctx.fillStyle = token('--ink');
        ctx.textAlign = 'center';
        ctx.textBaseline = 'middle';
        ctx.fillText(String(members.length), x, y + 0.5);
      }
    }
  }
}
