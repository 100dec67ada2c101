import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Clock } from '@/lib/clock';
import { FakeSocket } from '@/test/FakeSocket';
import { LiveClient, type LiveOptions } from './LiveClient';
import { decode } from './protocol';

beforeEach(() => vi.useFakeTimers({ now: 1_700_000_000_000 }));
afterEach(() => vi.useRealTimers());

function make(options: Partial<LiveOptions> = {}) {
  const sockets: FakeSocket[] = [];
  const client = new LiveClient({
    clock: new Clock(
      () => Date.now(),
      () => performance.now(),
    ),
    random: () => 1,
    open: () => {
      const socket = new FakeSocket();
      sockets.push(socket);
      return socket;
    },
    ...options,
  });
  return { client, sockets, last: () => sockets.at(-1)! };
}

describe('LiveClient', () => {
  it('opens one socket for all, and asks once it is open', () => {
    const { client, sockets, last } = make();
    client.subscribe({ devices: ['a'] }, {});
    client.subscribe({ devices: ['b'], interval: '100ms' }, {});
    expect(sockets).toHaveLength(1);
    expect(last().sent).toEqual([]);
    last().accept();
    expect(last().sent).toEqual([
      { op: 'ping' },
      { op: 'subscribe', id: 1, devices: ['a'] },
      { op: 'subscribe', id: 2, devices: ['b'], interval: '100ms' },
    ]);
    client.subscribe({ trace: 'c' }, {});
    expect(last().sent.at(-1)).toEqual({ op: 'subscribe', id: 3, trace: 'c' });
  });

  it('delivers each message to its own subscription', () => {
    const { client, last } = make();
    const a = { data: vi.fn(), state: vi.fn() };
    const b = { data: vi.fn(), trace: vi.fn(), event: vi.fn(), error: vi.fn() };
    client.subscribe({ devices: ['a'] }, a);
    client.subscribe({ trace: 'b' }, b);
    last().accept();
    const data = [{ device: 'a', metrics: { t: [[1, 2]] } }];
    last().say({ op: 'data', id: 1, data });
    last().say({ op: 'state', id: 1, device: 'a', state: 'online', connected: true, last_seen: 5 });
    last().say({ op: 'trace', id: 2, event: { time: 'x', stage: 'auth', ok: false, message: 'no' } });
    last().say({ op: 'error', id: 2, error: { code: 'not_found', message: 'gone' } });
    last().say({ op: 'data', id: 99, data });
    expect(a.data).toHaveBeenCalledExactlyOnceWith(data);
    expect(a.state.mock.calls[0]![0].state).toBe('online');
    expect(b.trace.mock.calls[0]![0].message).toBe('no');
    expect(b.error).toHaveBeenCalledExactlyOnceWith({ code: 'not_found', message: 'gone' });
    expect(b.data).not.toHaveBeenCalled();
  });

  it('ignores frames that it does not know, and goes on', () => {
    const { client, last } = make();
    const data = vi.fn();
    client.subscribe({ devices: ['a'] }, { data });
    last().accept();
    for (const frame of ['', 'nonsense', '[]', 'null', '{"op":"weather","id":1}', new ArrayBuffer(3)]) {
      last().onmessage?.({ data: frame });
    }
    last().say({ op: 'data', id: 1, data: [] });
    expect(data).toHaveBeenCalledOnce();
  });

  it('exchanges a selection without a moment in between', () => {
    const { client, last } = make();
    const data = vi.fn();
    const subscription = client.subscribe({ devices: ['a'] }, { data });
    last().accept();
    last().sent.length = 0;
    subscription.update({ devices: ['a', 'b'] });
    expect(last().sent).toEqual([
      { op: 'subscribe', id: 2, devices: ['a', 'b'] },
      { op: 'unsubscribe', id: 1 },
    ]);
    last().say({ op: 'data', id: 1, data: [] }); // still on its way when it was exchanged
    last().say({ op: 'data', id: 2, data: [] });
    expect(data).toHaveBeenCalledOnce();
    subscription.close();
    expect(last().sent.at(-1)).toEqual({ op: 'unsubscribe', id: 2 });
    subscription.update({ devices: ['c'] });
    expect(last().sent.at(-1)).toEqual({ op: 'unsubscribe', id: 2 });
  });

  it('comes back with growing pauses, subscribes again and says what is missing', () => {
    const { client, sockets, last } = make();
    const resumed = vi.fn();
    client.subscribe({ devices: ['a'] }, { resumed });
    last().accept();
    last().say({ op: 'subscribed', id: 1 });
    expect(resumed).not.toHaveBeenCalled();

    vi.advanceTimersByTime(1900);
    const lostAt = Date.now();
    last().drop();
    expect(client.status.kind).toBe('waiting');
    const pauses: number[] = [];
    for (let i = 0; i < 9; i += 1) {
      const before = Date.now();
      const count = sockets.length;
      while (sockets.length === count) vi.advanceTimersByTime(50);
      pauses.push(Date.now() - before);
      last().drop();
    }
    expect(pauses.slice(0, 4)).toEqual([400, 800, 1600, 3200]);
    expect(Math.max(...pauses)).toBe(5000);

    vi.advanceTimersByTime(5000);
    last().accept();
    expect(last().subscription({ devices: ['a'] })).toEqual({ op: 'subscribe', id: 1, devices: ['a'] });
    last().say({ op: 'subscribed', id: 1 });
    expect(resumed).toHaveBeenCalledOnce();
    expect(resumed.mock.calls[0]![0]).toBeCloseTo(lostAt, -1);
    last().say({ op: 'subscribed', id: 1 });
    expect(resumed).toHaveBeenCalledOnce();

    // A connection that held begins with a short pause again.
    last().drop();
    const count = sockets.length;
    vi.advanceTimersByTime(400);
    expect(sockets).toHaveLength(count + 1);
  });

  it('spreads many browsers over the second half of a pause', () => {
    const { client, sockets, last } = make({ random: () => 0 });
    client.subscribe({ events: true }, {});
    last().drop();
    vi.advanceTimersByTime(399);
    expect(sockets).toHaveLength(1);
    vi.advanceTimersByTime(2);
    expect(sockets).toHaveLength(2);
  });

  it('reconnects at once when told that the network is back', () => {
    const { client, sockets, last } = make();
    client.subscribe({ events: true }, {});
    last().drop();
    client.reconnect();
    expect(sockets).toHaveLength(2);
    client.reconnect(); // already at it
    expect(sockets).toHaveLength(2);
    vi.advanceTimersByTime(5_000);
    expect(sockets).toHaveLength(2); // the planned attempt was given up
  });

  it('notices a connection that is dead without having closed', () => {
    const { client, sockets, last } = make();
    client.subscribe({ devices: ['a'] }, {});
    last().accept();
    last().say({ op: 'pong', time: new Date().toISOString() });
    const heard = Date.now();
    vi.advanceTimersByTime(3000);
    expect(last().sent.filter((m) => m.op === 'ping')).toHaveLength(2);
    expect(client.lostSince).toBeNull();
    vi.advanceTimersByTime(3100);
    expect(client.status.kind).not.toBe('open');
    expect(client.lostSince).toBeCloseTo(heard, -1);
    expect(sockets[0]!.readyState).toBe(3);
    vi.advanceTimersByTime(1000);
    expect(sockets).toHaveLength(2);
  });

  it('gives up on a server that takes the connection and says nothing', () => {
    const { client, sockets, last } = make();
    client.subscribe({ devices: ['a'] }, {});
    vi.advanceTimersByTime(5900);
    expect(sockets).toHaveLength(1);
    vi.advanceTimersByTime(1000);
    expect(sockets).toHaveLength(2);
    expect(client.lostSince).not.toBeNull();
    last().accept();
    expect(client.lostSince).toBeNull();
    vi.advanceTimersByTime(1500);
    expect(client.status.kind).toBe('open');
  });

  it('asks at once when the network may have changed', () => {
    const { client, sockets, last } = make();
    client.subscribe({ devices: ['a'] }, {});
    last().accept();
    last().say({ op: 'pong', time: new Date().toISOString() });
    vi.advanceTimersByTime(1500);
    client.probe();
    last().say({ op: 'pong', time: new Date().toISOString() });
    vi.advanceTimersByTime(4000);
    expect(client.status.kind).toBe('open');
    client.probe();
    vi.advanceTimersByTime(3500);
    expect(client.status.kind).not.toBe('open');
    client.probe(); // and again when it is known to be gone
    expect(sockets).toHaveLength(2);
  });

  it('keeps a connection whose server does not know pings but talks', () => {
    const { client, sockets, last } = make();
    client.subscribe({ devices: ['a'] }, {});
    last().accept();
    for (let i = 0; i < 60; i += 1) {
      vi.advanceTimersByTime(2000);
      last().say({ op: 'error', id: null, error: { code: 'invalid_argument', message: 'unknown op' } });
    }
    expect(sockets).toHaveLength(1);
    expect(client.status.kind).toBe('open');
  });

  it('sets the clock by the pong', () => {
    const clock = new Clock(
      () => Date.now(),
      () => performance.now(),
    );
    const { client, last } = make({ clock });
    client.start();
    last().accept();
    vi.advanceTimersByTime(40);
    last().say({ op: 'pong', time: new Date(Date.now() + 3_600_000).toISOString() });
    expect(clock.now() - Date.now()).toBeCloseTo(3_600_000 + 20, -1);
    expect(client.status).toEqual({ kind: 'open', roundTrip: 40 });
  });

  it('stops for good when the session has ended, and goes on after signing in', async () => {
    const onSessionEnded = vi.fn();
    const { client, sockets, last } = make({ onSessionEnded });
    client.subscribe({ devices: ['a'] }, {});
    last().accept();
    last().drop(4401);
    expect(onSessionEnded).toHaveBeenCalledOnce();
    expect(client.status.kind).toBe('ended');
    vi.advanceTimersByTime(120_000);
    expect(sockets).toHaveLength(1);
    client.resume();
    last().accept();
    expect(last().subscription({ devices: ['a'] })).toBeDefined();
  });

  it('asks who it is when a connection fails to open, for browsers hide a 401', async () => {
    const onSessionEnded = vi.fn();
    const isSignedIn = vi.fn().mockResolvedValueOnce(true).mockResolvedValueOnce(false);
    const { client, sockets, last } = make({ onSessionEnded, isSignedIn });
    client.subscribe({ devices: ['a'] }, {});
    last().drop();
    await vi.advanceTimersByTimeAsync(900);
    expect(sockets).toHaveLength(2);
    expect(onSessionEnded).not.toHaveBeenCalled();
    last().drop();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(onSessionEnded).toHaveBeenCalledOnce();
    expect(sockets).toHaveLength(2);
  });

  it('forgets all when signed out', () => {
    const { client, sockets, last } = make();
    const data = vi.fn();
    client.subscribe({ devices: ['a'] }, { data });
    last().accept();
    client.stop();
    expect(client.status.kind).toBe('idle');
    vi.advanceTimersByTime(60_000);
    expect(sockets).toHaveLength(1);
    client.start();
    last().accept();
    expect(last().sent).toEqual([{ op: 'ping' }]);
  });
});

it('decodes what it knows', () => {
  expect(decode('{"op":"pong","time":"x"}')).toEqual({ op: 'pong', time: 'x' });
  expect(decode('{"op":"other"}')).toBeNull();
  expect(decode('{')).toBeNull();
});
