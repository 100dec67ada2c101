import { describe, expect, it } from 'vitest';
import { Columns } from './columns';
import { Ring } from './ring';

function filled(count: number, step: number, value: (i: number) => number) {
  const ring = new Ring(100_000);
  for (let i = 0; i < count; i += 1) ring.push(i * step, value(i));
  return ring;
}
const shape = (c: Columns) =>
  Array.from({ length: c.length }, (_, i) => [c.starts[i], c.firsts[i], c.mins[i], c.maxs[i], c.lasts[i]]);

describe('Columns', () => {
  it('keeps the first, least, greatest and last of each column', () => {
    const ring = new Ring();
    for (const [t, v] of [
      [0, 5],
      [3, 9],
      [6, 1],
      [9, 4],
      [12, 7],
    ]) {
      ring.push(t!, v!);
    }
    const columns = new Columns();
    columns.sync(ring, 10, 0);
    expect(shape(columns)).toEqual([
      [0, 5, 1, 9, 4],
      [10, 7, 7, 7, 7],
    ]);
  });

  it('never loses an extreme, however coarse', () => {
    const spikes = new Set([17, 1234, 4999]);
    const ring = filled(5000, 10, (i) => (spikes.has(i) ? 1000 : Math.sin(i)));
    const columns = new Columns();
    columns.sync(ring, 777, 0);
    expect(Array.from(columns.maxs.slice(0, columns.length)).filter((v) => v === 1000)).toHaveLength(3);
  });

  it('gives the same columns whether read at once or as readings come', () => {
    const ring = new Ring(100_000);
    const live = new Columns(4);
    for (let i = 0; i < 3000; i += 1) {
      ring.push(i * 7.3, Math.sin(i / 9) * i);
      if (i % 5 === 0) live.sync(ring, 50, 0);
    }
    live.sync(ring, 50, 0);
    const once = new Columns();
    once.sync(ring, 50, 0);
    expect(shape(live)).toEqual(shape(once));
  });

  it('is aligned to the epoch: the picture keeps its shape while it scrolls', () => {
    const ring = filled(1000, 10, (i) => (i * 7919) % 101);
    const a = new Columns();
    const b = new Columns();
    a.sync(ring, 64, 0);
    b.sync(ring, 64, 3333);
    const from = b.starts[2]!;
    const same = a.lowerBound(from);
    expect(shape(a).slice(same)).toEqual(shape(b).slice(2));
  });

  it('is read anew when a late reading changed the past', () => {
    const ring = filled(100, 10, () => 1);
    const columns = new Columns();
    columns.sync(ring, 100, 0);
    ring.push(205, 50);
    columns.sync(ring, 100, 0);
    expect(columns.maxs[2]).toBe(50);
  });

  it('forgets what scrolled out, so that memory is steady', () => {
    const ring = new Ring(512);
    const columns = new Columns(64);
    for (let i = 0; i < 50_000; i += 1) {
      ring.push(i * 10, i);
      columns.sync(ring, 10, i * 10 - 2000);
    }
    expect(columns.length).toBeLessThan(700);
    expect(columns.starts.length).toBeLessThanOrEqual(1024);
    expect(columns.lasts[columns.length - 1]).toBe(49_999);
  });

  it('leaves out what is no number', () => {
    const ring = new Ring();
    ring.push(1, Number.NaN);
    ring.push(2, 3);
    const columns = new Columns();
    columns.sync(ring, 10, 0);
    expect(shape(columns)).toEqual([[0, 3, 3, 3, 3]]);
  });
});
