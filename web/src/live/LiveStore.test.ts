import { beforeEach, describe, expect, it, vi } from 'vitest';
import { Clock } from '@/lib/clock';
import { FakeSocket } from '@/test/FakeSocket';
import { LiveClient } from './LiveClient';
import { gapOf, LiveStore } from './LiveStore';

let socket: FakeSocket;
let store: LiveStore;
beforeEach(() => {
  const client = new LiveClient({
    clock: new Clock(),
    open: () => {
      socket = new FakeSocket();
      return socket;
    },
  });
  store = new LiveStore(client, 16);
  client.start();
  socket.accept();
});

const data = (id: number, device: string, metrics: object, more: object = {}) =>
  socket.say({ op: 'data', id, data: [{ device, metrics, ...more }] });
const points = (device: string, metric: string) => {
  const { ring } = store.series(device, metric);
  return Array.from({ length: ring.length }, (_, i) => [ring.time(i), ring.value(i)]);
};

describe('LiveStore', () => {
  it('asks for integers and a snapshot, and fills rings', () => {
    store.watch({ devices: ['a'], interval: '100ms' });
    expect(socket.subscription({ devices: ['a'] })).toMatchObject({
      epoch: 'ms',
      snapshot: true,
      interval: '100ms',
    });
    data(1, 'a', {
      t: [
        [1000, 1],
        [2000, 2],
      ],
      door: [[2000, true]],
      word: [[2000, 'x']],
    });
    expect(points('a', 't')).toEqual([
      [1000, 1],
      [2000, 2],
    ]);
    expect(points('a', 'door')).toEqual([[2000, 1]]);
    expect(points('a', 'word')).toEqual([]);
    expect(store.series('a', 'word').value).toBe('x');
    expect(store.metricsOf('a')).toEqual(['t', 'door', 'word']);
  });

  it('never asks for everything when there is nothing to watch', () => {
    const watch = store.watch({ devices: [] });
    expect(socket.sent.filter((m) => m.op === 'subscribe')).toEqual([]);
    watch.update({ devices: ['a'] });
    expect(socket.subscription({ devices: ['a'] })).toBeDefined();
    watch.update({ devices: [] });
    expect(socket.sent.at(-1)).toMatchObject({ op: 'unsubscribe' });
  });

  it('takes the greatest event time for the latest, and a repeat once', () => {
    store.watch({ devices: ['a'] });
    data(1, 'a', { t: [[2000, 2]] });
    data(1, 'a', { t: [[1000, 1]] });
    data(1, 'a', { t: [[2000, 2]] });
    expect(store.series('a', 't')).toMatchObject({ value: 2, time: 2000 });
    expect(points('a', 't')).toEqual([
      [1000, 1],
      [2000, 2],
    ]);
  });

  it('does not let an old answer of the server win over what came live', () => {
    store.watch({ devices: ['a'] });
    data(1, 'a', { t: [[5000, 5]] });
    store.seedLatest('a', 't', 1, 1000, '°C');
    expect(store.series('a', 't')).toMatchObject({ value: 5, unit: '°C' });
    store.seedStatus('a', { state: 'online', connected: true, lastSeen: 9000 });
    store.seedStatus('a', { state: 'silent', connected: false, lastSeen: 1000 });
    expect(store.status('a')).toMatchObject({ state: 'online', lastSeen: 9000 });
  });

  it('puts true history in the place of what it had, and coarse history only before', () => {
    store.watch({ devices: ['a'] });
    data(1, 'a', { t: [[5000, 5]] });
    store.seedHistory('a', 't', [1000, 3000, 5000, 7000], [1, 3, 55, 7], false);
    expect(points('a', 't')).toEqual([
      [1000, 1],
      [3000, 3],
      [5000, 5],
    ]);
    store.seedHistory('a', 't', [2500, 3500, 5000], [2, 3, 6], true);
    expect(points('a', 't')).toEqual([
      [1000, 1],
      [2500, 2],
      [3500, 3],
      [5000, 6],
    ]);
  });

  it('tells of states and new metrics, not of readings', async () => {
    const heard = vi.fn();
    store.onDevice('a', heard);
    store.watch({ devices: ['a'] });
    store.series('a', 'planned');
    data(1, 'a', { t: [[1000, 1]], other: [[1000, 1]] });
    await Promise.resolve();
    expect(heard).toHaveBeenCalledTimes(1); // the metrics
    expect(store.metricsOf('a')).toEqual(['t', 'other']);
    data(1, 'a', { t: [[2000, 1]] });
    await Promise.resolve();
    expect(heard).toHaveBeenCalledTimes(1);
    socket.say({ op: 'state', id: 1, device: 'a', state: 'silent', connected: false, last_seen: 2000 });
    socket.say({ op: 'state', id: 1, device: 'a', state: 'silent', connected: false, last_seen: 2000 });
    expect(heard).toHaveBeenCalledTimes(2);
    expect(store.status('a')).toEqual({ state: 'silent', connected: false, lastSeen: 2000 });
  });

  it('makes a device that was never seen online with its first reading', () => {
    store.seedStatus('a', { state: 'never', connected: false, lastSeen: Number.NaN });
    store.watch({ devices: ['a'] });
    data(1, 'a', { t: [[1000, 1]] });
    expect(store.status('a')).toMatchObject({ state: 'online', lastSeen: 1000 });
  });

  it('counts what the server left out', () => {
    store.watch({ devices: ['a'] });
    data(1, 'a', { t: [[1000, 1]] }, { dropped: 7 });
    expect(store.dropped).toBe(7);
  });

  it('says what to fetch after a break', () => {
    vi.useFakeTimers();
    const onGap = vi.fn();
    store.watch({ devices: ['a'] }, onGap);
    socket.say({ op: 'subscribed', id: 1 });
    expect(onGap).not.toHaveBeenCalled();
    socket.drop();
    vi.advanceTimersByTime(3_000); // connecting again, and not yet given up
    socket.accept();
    socket.say({ op: 'subscribed', id: 1 });
    expect(onGap).toHaveBeenCalledOnce();
    vi.useRealTimers();
  });

  it('learns how far apart readings are, and is not fooled by a silence', () => {
    store.watch({ devices: ['a'] });
    for (let i = 1; i <= 10; i += 1) data(1, 'a', { t: [[i * 1000, i]] });
    const series = store.series('a', 't');
    expect(series.interval).toBeCloseTo(1000);
    expect(gapOf(series)).toBe(3500);
    data(1, 'a', { t: [[600_000, 1]] });
    expect(gapOf(series)).toBeLessThan(5000);
    expect(gapOf({ interval: Number.NaN })).toBe(15_000);
  });

  it('forgets devices that nobody watches, so that memory is steady', () => {
    const watch = store.watch({ devices: ['d0'] });
    const keep = store.onDevice('kept', () => {});
    for (let i = 1; i < 5000; i += 1) {
      data(1, `d${i}`, { t: [[i, i]] });
      if (i % 20 === 0) watch.update({ devices: Array.from({ length: 20 }, (_, k) => `d${i - k}`) });
    }
    expect(store.size).toBeLessThan(500);
    store.series('kept', 't');
    keep();
    watch.close();
    expect(store.size).toBeLessThanOrEqual(400);
  });

  it('shows one measurement of a metric: the plain one, else the first that came', () => {
    store.watch({ devices: ['a'] });
    data(1, 'a', { t: [[1000, 7]] }, { measurement: 'hourly' });
    data(1, 'a', { t: [[2000, 8]] }, { measurement: 'daily' });
    expect(points('a', 't')).toEqual([[1000, 7]]);
    data(1, 'a', { t: [[500, 1]] });
    data(1, 'a', { t: [[3000, 9]] }, { measurement: 'hourly' });
    expect(points('a', 't')).toEqual([[500, 1]]);
    expect(store.series('a', 't').value).toBe(1);
    data(1, 'a', { only: [[1000, 5]] }, { measurement: 'hourly' });
    store.seedLatest('a', 'only', 2, 900, null);
    expect(store.series('a', 'only').value).toBe(2);
  });

  it('does not hold more readings than it has room for', () => {
    store.watch({ devices: ['a'] });
    for (let i = 0; i < 100; i += 1) data(1, 'a', { t: [[i, i]] });
    expect(store.series('a', 't').ring.length).toBe(16);
  });
});
