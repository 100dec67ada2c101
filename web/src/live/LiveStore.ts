import { clock } from '@/lib/clock';
import { toNumber, type Value } from '@/lib/numbers';
import { Ring } from '@/lib/ring';
import { parseTime } from '@/lib/time';
import type { LiveClient, Subscription } from './LiveClient';
import type { LiveData, LiveState } from './protocol';

export interface DeviceStatus {
  state: 'online' | 'silent' | 'never';
  connected: boolean;
  lastSeen: number; // ms, NaN for never
}

/** One series as the page knows it. Charts read the ring once per frame; words have a latest value but no ring entries. */
export interface LiveSeries {
  readonly device: string;
  readonly metric: string;
  readonly ring: Ring;
  unit: string | null;
  value: Value | null;
  time: number;
  /** Milliseconds between readings, smoothed; NaN until two have come. */
  interval: number;
  /** Grows with every change of `value` or `ring`. */
  version: number;
  /** The measurement that it shows, '' for the plain one; null until something came. */
  measurement: string | null;
}

export interface Watch {
  devices: string[];
  metrics?: string[];
  interval?: string;
}

interface DeviceEntry {
  metrics: Map<string, LiveSeries>;
  status: DeviceStatus | null;
  watchers: number;
  touched: number;
  listeners: Set<() => void>;
  announcing: boolean;
}

const KEEP_UNWATCHED = 400;
const LATE = 400;

/** The gap that a line may bridge: a few times the usual distance between readings, within reason. */
export function gapOf(series: { interval: number }): number {
  return Number.isNaN(series.interval) ? 15_000 : Math.min(600_000, Math.max(2500, series.interval * 3.5));
}

const isHeard = (series: LiveSeries) => !Number.isNaN(series.time) || series.ring.length > 0;

/**
 * Newest readings of the devices that somebody looks at, outside React. Fed by the live socket, seeded by queries.
 * Devices that nobody watches any more are forgotten, oldest first, beyond a few hundred.
 */
export class LiveStore {
  private devices = new Map<string, DeviceEntry>();
  private ticks = 0;
  /** Readings that the server left out because this browser, or itself, was slow. */
  dropped = 0;
  received = 0;

  constructor(
    private readonly client: LiveClient,
    private readonly ringCapacity = 8192,
  ) {}

  /** Starts following a selection. `onGap` is told what to fetch after a break. */
  watch(selection: Watch, onGap?: (from: number) => void): { update(selection: Watch): void; close(): void } {
    let held = new Set(selection.devices);
    for (const device of held) this.entry(device).watchers += 1;
    const request = (watch: Watch) => ({ ...watch, epoch: 'ms' as const, snapshot: true });
    const handlers = {
      data: (data: LiveData['data']) => this.onData(data),
      state: (state: LiveState) => this.onState(state),
      // The history was fetched when the watch began; had the server taken its time, the two would not meet.
      subscribed: () => {
        const late = performance.now() - asked;
        if (first && late > LATE) onGap?.(clock.now() - late);
        first = false;
      },
      resumed: (from: number) => onGap?.(from),
    };
    const asked = performance.now();
    let first = true;
    // No devices would mean all of them.
    let subscription: Subscription | null = held.size
      ? this.client.subscribe(request(selection), handlers)
      : null;
    return {
      update: (changed) => {
        const next = new Set(changed.devices);
        for (const device of next) if (!held.has(device)) this.entry(device).watchers += 1;
        for (const device of held) if (!next.has(device)) this.unwatch(device);
        held = next;
        if (next.size === 0) {
          subscription?.close();
          subscription = null;
        } else if (subscription) subscription.update(request(changed));
        else subscription = this.client.subscribe(request(changed), handlers);
        this.trim();
      },
      close: () => {
        subscription?.close();
        subscription = null;
        for (const device of held) this.unwatch(device);
        held = new Set();
        this.trim();
      },
    };
  }

  series(device: string, metric: string): LiveSeries {
    const entry = this.entry(device);
    let series = entry.metrics.get(metric);
    if (!series) {
      series = {
        device,
        metric,
        ring: new Ring(this.ringCapacity),
        unit: null,
        value: null,
        time: Number.NaN,
        interval: Number.NaN,
        version: 0,
        measurement: null,
      };
      entry.metrics.set(metric, series);
    }
    return series;
  }

  /** Those that something came of; what is only planned, or asked about here, is not among them. */
  metricsOf(device: string): string[] {
    const all = this.devices.get(device)?.metrics.values() ?? [];
    return [...all].filter(isHeard).map((series) => series.metric);
  }

  status(device: string): DeviceStatus | null {
    return this.devices.get(device)?.status ?? null;
  }

  /** Calls back when a device's state changes or the first of a metric has come, not for each reading. */
  onDevice(device: string, listener: () => void): () => void {
    const entry = this.entry(device);
    entry.listeners.add(listener);
    return () => {
      entry.listeners.delete(listener);
    };
  }

  /** What a list or a device answered. Older than what is known here, it changes nothing. */
  seedStatus(device: string, status: DeviceStatus): void {
    const entry = this.entry(device);
    if (entry.status && entry.status.lastSeen > status.lastSeen) return;
    this.setStatus(entry, status);
  }

  seedLatest(device: string, metric: string, value: Value, time: number, unit: string | null): void {
    const series = this.series(device, metric);
    series.unit = unit ?? series.unit;
    if (!this.isOf(series, '')) return;
    if (!(time <= series.time)) this.take(series, time, value);
  }

  /**
   * Readings from before. `exact`: they are the truth of their span (raw, or windows where windows are shown) and replace what
   * is here. Otherwise they only reach back to before the oldest that is here.
   */
  seedHistory(device: string, metric: string, times: number[], values: number[], exact: boolean): void {
    const series = this.series(device, metric);
    const { ring } = series;
    if (times.length === 0) return;
    if (!isHeard(series)) this.announceSoon(device);
    if (exact) ring.replace(times[0]!, times.at(-1)!, times, values);
    else {
      const oldest = ring.length ? ring.time(0) : Number.POSITIVE_INFINITY;
      const count = times.findIndex((t) => t >= oldest);
      const older = count < 0 ? times.length : count;
      if (older > 0)
        ring.replace(
          Number.NEGATIVE_INFINITY,
          times[older - 1]!,
          times.slice(0, older),
          values.slice(0, older),
        );
    }
    series.version += 1;
    if (Number.isNaN(series.interval) && times.length > 2)
      series.interval = (times.at(-1)! - times[0]!) / (times.length - 1);
  }

  get size(): number {
    return this.devices.size;
  }

  private onData(data: LiveData['data']): void {
    for (const { device, measurement = '', metrics, dropped } of data) {
      if (dropped) this.dropped += dropped;
      for (const metric in metrics) {
        const series = this.series(device, metric);
        if (!this.isOf(series, measurement)) continue;
        for (const [time, value] of metrics[metric]!) {
          this.received += 1;
          this.take(series, parseTime(time as number | string), value as Value);
        }
      }
    }
  }

  /** One series for each device and metric, as queries have it: the plain measurement, else the first that came. */
  private isOf(series: LiveSeries, measurement: string): boolean {
    if (series.measurement !== measurement && (series.measurement === null || measurement === '')) {
      if (series.measurement !== null) {
        series.ring.clear();
        series.value = null;
        series.time = Number.NaN;
        series.interval = Number.NaN;
      }
      series.measurement = measurement;
    }
    return series.measurement === measurement;
  }

  private onState(state: LiveState): void {
    const entry = this.entry(state.device);
    this.setStatus(entry, {
      state: state.state,
      connected: state.connected,
      lastSeen: parseTime(state.last_seen),
    });
  }

  private take(series: LiveSeries, time: number, value: Value): void {
    if (Number.isNaN(time)) return;
    if (time > series.time) {
      const distance = time - series.time;
      // Smoothed, and deaf to a long silence: that is a gap, not a slower rate.
      if (Number.isNaN(series.interval)) series.interval = distance < 120_000 ? distance : Number.NaN;
      else if (distance < series.interval * 4) series.interval += (distance - series.interval) * 0.2;
      else series.interval *= 1.15;
    }
    if (!(time < series.time)) {
      if (!isHeard(series)) this.announceSoon(series.device);
      series.time = time;
      series.value = value;
    }
    const number = toNumber(value);
    if (!Number.isNaN(number)) series.ring.push(time, number);
    series.version += 1;
    const entry = this.devices.get(series.device);
    if (entry?.status && !(time <= entry.status.lastSeen)) {
      entry.status.lastSeen = time;
      if (entry.status.state === 'never') this.setStatus(entry, { ...entry.status, state: 'online' });
    }
  }

  private entry(device: string): DeviceEntry {
    let entry = this.devices.get(device);
    if (!entry) {
      entry = {
        metrics: new Map(),
        status: null,
        watchers: 0,
        touched: this.ticks,
        listeners: new Set(),
        announcing: false,
      };
      this.devices.set(device, entry);
    }
    this.ticks += 1;
    entry.touched = this.ticks;
    return entry;
  }

  private setStatus(entry: DeviceEntry, status: DeviceStatus): void {
    const old = entry.status;
    entry.status = status;
    if (!old || old.state !== status.state || old.connected !== status.connected) this.announce(entry);
  }

  /** When whoever brought the reading is done: a list does so while it is rendered, and others would have to follow. */
  private announceSoon(device: string): void {
    const entry = this.entry(device);
    if (entry.announcing) return;
    entry.announcing = true;
    queueMicrotask(() => {
      entry.announcing = false;
      this.announce(entry);
    });
  }

  private announce(entry: DeviceEntry): void {
    for (const listener of entry.listeners) listener();
  }

  private unwatch(device: string): void {
    const entry = this.devices.get(device);
    if (entry) entry.watchers -= 1;
  }

  private trim(): void {
    const idle = [...this.devices].filter(([, entry]) => entry.watchers <= 0 && entry.listeners.size === 0);
    if (idle.length <= KEEP_UNWATCHED) return;
    idle.sort((a, b) => a[1].touched - b[1].touched);
    for (const [device] of idle.slice(0, idle.length - KEEP_UNWATCHED)) this.devices.delete(device);
  }
}
