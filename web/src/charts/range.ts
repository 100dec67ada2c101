/** Steps of 1, 2, 5 × 10ⁿ: the least that is at least `rough`. */
export function niceStep(rough: number): number {
  const power = 10 ** Math.floor(Math.log10(rough));
  const unit = rough / power;
  return (unit <= 1 ? 1 : unit <= 2 ? 2 : unit <= 5 ? 5 : 10) * power;
}

/** Bounds with room around the data, on round numbers; zero is shown where the data comes near it. */
export function niceRange(low: number, high: number): [number, number] {
  if (!(high >= low)) return [0, 1];
  if (low === high) {
    const room = Math.abs(low) * 0.1 || 1;
    return low >= 0 && low - room < 0 ? [0, low + room] : [low - room, high + room];
  }
  const span = high - low;
  let bottom = low - span * 0.08;
  const top = high + span * 0.08;
  if (low >= 0 && (bottom < 0 || low < high * 0.3)) bottom = 0;
  const step = niceStep((top - bottom) / 6) / 2;
  return [Math.floor(bottom / step + 1e-9) * step, Math.ceil(top / step - 1e-9) * step];
}

/**
 * The vertical range of a chart that moves: stays while the data fits and fills it well, else glides to a new one, so that the
 * picture neither jumps nor breathes.
 */
export class GlidingRange {
  low = Number.NaN;
  high = Number.NaN;
  private targetLow = Number.NaN;
  private targetHigh = Number.NaN;
  private tightSince = Number.NaN;

  /** Has it arrived where it was gliding to? */
  get settled(): boolean {
    return Number.isNaN(this.low) || (this.low === this.targetLow && this.high === this.targetHigh);
  }

  /** The next update jumps. */
  reset(): void {
    this.low = this.high = this.targetLow = this.targetHigh = Number.NaN;
    this.tightSince = Number.NaN;
  }

  update(dataLow: number, dataHigh: number, now: number, elapsed: number): void {
    if (!(dataHigh >= dataLow)) return;
    const [low, high] = niceRange(dataLow, dataHigh);
    if (Number.isNaN(this.low)) {
      this.low = this.targetLow = low;
      this.high = this.targetHigh = high;
      return;
    }
    const fits = dataLow >= this.targetLow && dataHigh <= this.targetHigh;
    const wasteful = high - low < (this.targetHigh - this.targetLow) * 0.62;
    if (!wasteful) this.tightSince = Number.NaN;
    else if (Number.isNaN(this.tightSince)) this.tightSince = now;
    if (!fits || now - this.tightSince > 1500) {
      this.targetLow = low;
      this.targetHigh = high;
      this.tightSince = Number.NaN;
    }
    const part = 1 - Math.exp(-elapsed / 130);
    const settle = (from: number, to: number) =>
      Math.abs(to - from) < (this.targetHigh - this.targetLow) * 0.0005 ? to : from + (to - from) * part;
    this.low = settle(this.low, this.targetLow);
    this.high = settle(this.high, this.targetHigh);
  }
}
