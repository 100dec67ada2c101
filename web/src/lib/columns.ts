import { lowerBound } from './bound';
import type { Ring } from './ring';

/**
 * A ring seen through pixels: for each column of `width` milliseconds the first, least, greatest and last reading, which draw
 * the same line as all of them. Columns are aligned to 1970, not to the window's edge, so that a scrolling line keeps its
 * shape rather than shimmering. Kept up to date by reading only what is new.
 */
export class Columns {
  /** Start of each column, ascending; empty columns have no entry. */
  starts: Float64Array;
  firstTimes: Float64Array;
  lastTimes: Float64Array;
  firsts: Float64Array;
  mins: Float64Array;
  maxs: Float64Array;
  lasts: Float64Array;
  length = 0;
  private seen = 0;
  private revision = -1;
  private width = 0;

  constructor(initial = 256) {
    this.starts = new Float64Array(initial);
    this.firstTimes = new Float64Array(initial);
    this.lastTimes = new Float64Array(initial);
    this.firsts = new Float64Array(initial);
    this.mins = new Float64Array(initial);
    this.maxs = new Float64Array(initial);
    this.lasts = new Float64Array(initial);
  }

  /** Brings the columns in line with `ring` from `from` on. */
  sync(ring: Ring, width: number, from: number): void {
    const fresh = ring.total - this.seen;
    if (width !== this.width || ring.revision !== this.revision || fresh > ring.length) {
      this.length = 0;
      this.width = width;
      this.revision = ring.revision;
      this.seen = ring.total;
      for (let i = Math.max(0, ring.lowerBound(from - width) - 1); i < ring.length; i += 1)
        this.add(ring.time(i), ring.value(i));
      return;
    }
    for (let i = ring.length - fresh; i < ring.length; i += 1) this.add(ring.time(i), ring.value(i));
    this.seen = ring.total;
    this.forget(from - width);
  }

  /** First column whose start is at least `time`. */
  lowerBound(time: number): number {
    return lowerBound(this.length, (index) => this.starts[index]!, time);
  }

  private add(time: number, value: number): void {
    if (Number.isNaN(value)) return;
    const start = Math.floor(time / this.width) * this.width;
    const last = this.length - 1;
    if (last >= 0 && this.starts[last] === start) {
      if (value < this.mins[last]!) this.mins[last] = value;
      if (value > this.maxs[last]!) this.maxs[last] = value;
      this.lasts[last] = value;
      this.lastTimes[last] = time;
      return;
    }
    if (this.length === this.starts.length) this.resize(this.length * 2);
    const at = this.length;
    this.starts[at] = start;
    this.firstTimes[at] = time;
    this.lastTimes[at] = time;
    this.firsts[at] = value;
    this.mins[at] = value;
    this.maxs[at] = value;
    this.lasts[at] = value;
    this.length += 1;
  }

  /** Columns that scrolled out go in bulk, once they are half of all: one copy in many frames. One stays for the line's entry. */
  private forget(before: number): void {
    const cut = this.lowerBound(before) - 1;
    if (cut < 64 || cut < this.length / 2) return;
    for (const array of this.all()) array.copyWithin(0, cut, this.length);
    this.length -= cut;
  }

  private all(): Float64Array[] {
    return [this.starts, this.firstTimes, this.lastTimes, this.firsts, this.mins, this.maxs, this.lasts];
  }

  private resize(size: number): void {
    const grown = (old: Float64Array) => {
      const next = new Float64Array(size);
      next.set(old);
      return next;
    };
    this.starts = grown(this.starts);
    this.firstTimes = grown(this.firstTimes);
    this.lastTimes = grown(this.lastTimes);
    this.firsts = grown(this.firsts);
    this.mins = grown(this.mins);
    this.maxs = grown(this.maxs);
    this.lasts = grown(this.lasts);
  }
}
