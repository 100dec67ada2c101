import { lowerBound } from './bound';

/**
 * The newest readings of one series, in two typed arrays. Times ascend strictly; a reading at a time that is there already
 * replaces it; a late one is put in its place. Grows by doubling up to `capacity`, then forgets the oldest.
 */
export class Ring {
  private times: Float64Array;
  private values: Float64Array;
  private head = 0; // slot of the oldest
  private size = 0;
  /** Readings appended at the end so far: who read up to `total` knows what is new. */
  total = 0;
  /** Changes when anything but an append happened: what was derived from the ring must be derived anew. */
  revision = 0;

  constructor(
    readonly capacity = 8192,
    initial = 64,
  ) {
    const start = Math.min(initial, capacity);
    this.times = new Float64Array(start);
    this.values = new Float64Array(start);
  }

  get length(): number {
    return this.size;
  }

  /** `index` 0 is the oldest. */
  time(index: number): number {
    return this.times[this.slot(index)]!;
  }

  value(index: number): number {
    return this.values[this.slot(index)]!;
  }

  get lastTime(): number {
    return this.size ? this.time(this.size - 1) : Number.NaN;
  }

  get lastValue(): number {
    return this.size ? this.value(this.size - 1) : Number.NaN;
  }

  push(time: number, value: number): void {
    const last = this.lastTime;
    if (!(time <= last)) {
      this.append(time, value);
      return;
    }
    this.revision += 1;
    const at = this.lowerBound(time);
    if (this.time(at) === time) {
      this.values[this.slot(at)] = value;
      return;
    }
    if (this.size === this.capacity && at === 0) return; // older than all that is kept
    // Late: append the last one again and move the rest up by one.
    const newest = this.size - 1;
    this.append(this.time(newest), this.value(newest));
    const end = this.size - 1;
    const place = at - (end - newest === 0 ? 1 : 0); // an append to a full ring shifts every index by one
    for (let i = end; i > place; i -= 1) this.copy(i - 1, i);
    const slot = this.slot(place);
    this.times[slot] = time;
    this.values[slot] = value;
  }

  /**
   * Puts `times` (strictly ascending) in the place of all that lies in [from, to], and beyond `to` up to the last of them.
   * What is newer stays.
   */
  replace(from: number, to: number, times: ArrayLike<number>, values: ArrayLike<number>): void {
    const end = Math.max(to, times.length ? times[times.length - 1]! : to);
    const before = this.lowerBound(from);
    const after = this.lowerBound(end + Number.EPSILON * end);
    const olds = { times: [] as number[], values: [] as number[] };
    const keep = (begin: number, stop: number) => {
      for (let i = begin; i < stop; i += 1) {
        olds.times.push(this.time(i));
        olds.values.push(this.value(i));
      }
    };
    keep(0, before);
    const fresh = Array.from(times);
    olds.times.push(...fresh);
    olds.values.push(...Array.from(values));
    keep(after, this.size);
    this.clear();
    for (let i = Math.max(0, olds.times.length - this.capacity); i < olds.times.length; i += 1) {
      this.append(olds.times[i]!, olds.values[i]!);
    }
  }

  /** First index whose time is at least `time`; `length` where there is none. */
  lowerBound(time: number): number {
    return lowerBound(this.size, (index) => this.time(index), time);
  }

  clear(): void {
    this.head = 0;
    this.size = 0;
    this.revision += 1;
  }

  private slot(index: number): number {
    const slot = this.head + index;
    return slot < this.times.length ? slot : slot - this.times.length;
  }

  private copy(from: number, to: number): void {
    this.times[this.slot(to)] = this.times[this.slot(from)]!;
    this.values[this.slot(to)] = this.values[this.slot(from)]!;
  }

  private append(time: number, value: number): void {
    if (this.size === this.times.length && this.size < this.capacity) this.grow();
    if (this.size === this.times.length) this.head = this.slot(1);
    else this.size += 1;
    const slot = this.slot(this.size - 1);
    this.times[slot] = time;
    this.values[slot] = value;
    this.total += 1;
  }

  private grow(): void {
    const next = Math.min(this.capacity, this.times.length * 2);
    const times = new Float64Array(next);
    const values = new Float64Array(next);
    for (let i = 0; i < this.size; i += 1) {
      times[i] = this.time(i);
      values[i] = this.value(i);
    }
    this.times = times;
    this.values = values;
    this.head = 0;
  }
}
