/**
 * The server's clock as seen from here. Ages and the right edge of a live chart need it: a browser's clock may be minutes off.
 * Between corrections it runs on the monotonic clock.
 */
export class Clock {
  private offset = 0; // server's time minus performance time
  private bestRoundTrip = Number.POSITIVE_INFINITY;
  private measured = false;

  constructor(
    private readonly wall: () => number = () => Date.now(),
    private readonly steady: () => number = () => performance.now(),
  ) {
    this.offset = this.wall() - this.steady();
  }

  now(): number {
    return this.steady() + this.offset;
  }

  /** A ping sent at `sent` (steady time) was answered with the server's time `server`. The quickest answer is the truest. */
  observe(server: number, sent: number): void {
    const received = this.steady();
    const roundTrip = received - sent;
    const offset = server + roundTrip / 2 - received;
    // An old measurement ages, so that drift and a sleeping laptop are noticed.
    this.bestRoundTrip *= 1.2;
    if (!this.measured || roundTrip <= this.bestRoundTrip || Math.abs(offset - this.offset) > roundTrip) {
      this.bestRoundTrip = roundTrip;
      this.offset = offset;
      this.measured = true;
    }
  }

  steadyNow(): number {
    return this.steady();
  }
}

export const clock = new Clock();
