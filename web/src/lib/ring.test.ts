import { describe, expect, it } from 'vitest';
import { Ring } from './ring';

const list = (ring: Ring) => Array.from({ length: ring.length }, (_, i) => [ring.time(i), ring.value(i)]);

/** The same, told simply: a sorted map that keeps the newest. */
class Model {
  entries = new Map<number, number>();
  constructor(private readonly capacity: number) {}
  push(time: number, value: number): void {
    if (
      !this.entries.has(time) &&
      this.entries.size === this.capacity &&
      time < Math.min(...this.entries.keys())
    )
      return;
    this.entries.set(time, value);
    if (this.entries.size > this.capacity) this.entries.delete(Math.min(...this.entries.keys()));
  }
  list() {
    return [...this.entries].sort((a, b) => a[0] - b[0]);
  }
}

describe('Ring', () => {
  it('grows to its capacity and then forgets the oldest', () => {
    const ring = new Ring(4, 2);
    for (let t = 1; t <= 6; t += 1) ring.push(t, t * 10);
    expect(list(ring)).toEqual([
      [3, 30],
      [4, 40],
      [5, 50],
      [6, 60],
    ]);
    expect(ring.total).toBe(6);
    expect(ring.revision).toBe(0);
  });

  it('replaces the value at a time that it has', () => {
    const ring = new Ring();
    ring.push(1, 1);
    ring.push(2, 2);
    ring.push(1, 9);
    expect(list(ring)).toEqual([
      [1, 9],
      [2, 2],
    ]);
    expect(ring.revision).toBe(1);
  });

  it('puts late readings in their place, whatever the order (against a model)', () => {
    for (let seed = 1; seed <= 60; seed += 1) {
      let state = seed;
      const random = () => {
        state = (state * 1103515245 + 12345) % 2147483648;
        return state / 2147483648;
      };
      const capacity = 1 + Math.floor(random() * 12);
      const ring = new Ring(capacity, 1);
      const model = new Model(capacity);
      for (let i = 0; i < 200; i += 1) {
        const time = Math.floor(random() * 40) + i * (seed % 2);
        ring.push(time, i);
        model.push(time, i);
        expect(list(ring), `seed ${seed}, step ${i}`).toEqual(model.list());
      }
    }
  });

  it('finds the first reading at or after a time', () => {
    const ring = new Ring(3);
    for (const t of [1, 5, 9, 13]) ring.push(t, t);
    expect([0, 5, 6, 9, 13, 14].map((t) => ring.lowerBound(t))).toEqual([0, 0, 1, 1, 2, 3]);
  });

  it('exchanges a span for what is true there, and keeps what is newer', () => {
    const ring = new Ring();
    for (const t of [10, 20, 30, 40]) ring.push(t, t);
    ring.replace(15, 30, [18, 22, 26, 30], [1, 2, 3, 4]);
    expect(list(ring)).toEqual([
      [10, 10],
      [18, 1],
      [22, 2],
      [26, 3],
      [30, 4],
      [40, 40],
    ]);
    ring.replace(Number.NEGATIVE_INFINITY, 5, [1, 2], [0, 0]);
    expect(ring.time(0)).toBe(1);
  });
});
