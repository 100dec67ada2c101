import type { Clock } from '@/lib/clock';
import { parseTime } from '@/lib/time';
import {
  CLOSE_SESSION_ENDED,
  type DeviceEvent,
  decode,
  type ErrorDetail,
  type LiveData,
  type LiveMessage,
  type LiveRequest,
  type LiveState,
  type TraceEvent,
} from './protocol';

export type LiveStatus =
  | { kind: 'idle' }
  | { kind: 'connecting'; attempt: number }
  | { kind: 'open'; roundTrip: number | null }
  | { kind: 'waiting'; attempt: number; until: number } // `until` in steady time
  | { kind: 'ended' }; // the session is over: sign in again

export interface LiveHandlers {
  data?: (data: LiveData['data']) => void;
  state?: (state: LiveState) => void;
  trace?: (event: TraceEvent) => void;
  event?: (event: DeviceEvent) => void;
  subscribed?: (series: number | undefined) => void;
  error?: (error: ErrorDetail) => void;
  /** Live again after a break: readings since `from` (server time, ms) may be missing here. */
  resumed?: (from: number) => void;
}

export interface Subscription {
  /** Exchanges the selection; readings of what stays selected go on without a break. */
  update(request: LiveRequest): void;
  close(): void;
}

/** The part of a WebSocket that is used, so that a test can stand in for it. */
export interface Socket {
  readyState: number;
  onopen: (() => void) | null;
  onclose: ((event: { code: number }) => void) | null;
  onmessage: ((event: { data: unknown }) => void) | null;
  onerror: (() => void) | null;
  send(text: string): void;
  close(code?: number): void;
}

export interface LiveOptions {
  open: () => Socket;
  clock: Clock;
  random?: () => number;
  /** Asked when a connection fails before it opened: browsers hide the 401 of a handshake. */
  isSignedIn?: () => Promise<boolean>;
  onSessionEnded?: () => void;
}

const OPEN = 1;
const FIRST_WAIT = 400;
const LONGEST_WAIT = 5_000;
/** A frozen server is noticed after these two: what stands still must not pass for live. */
const QUIET_BEFORE_PING = 2_000;
const PING_TIMEOUT = 3_000;
const PROBE_TIMEOUT = 2_000;
/** A server that takes the connection but does not answer the handshake. */
const OPEN_TIMEOUT = 6_000;
const BEAT = 500;
const STEADY_PING = 30_000;

interface Entry {
  id: number;
  request: LiveRequest;
  handlers: LiveHandlers;
  lostAt: number | null;
}

/** One WebSocket for the whole app; subscriptions share it by id and outlive it. */
export class LiveClient {
  private socket: Socket | null = null;
  private entries = new Map<number, Entry>();
  private nextId = 1;
  private attempt = 0;
  private heardLast: number | null = null;
  private openTimer: ReturnType<typeof setTimeout> | null = null;
  private retry: ReturnType<typeof setTimeout> | null = null;
  private beat: ReturnType<typeof setInterval> | null = null;
  private lastHeard = 0;
  private pingSent: number | null = null;
  private lastPing = 0;
  private pingTimeout = PING_TIMEOUT;
  private current: LiveStatus = { kind: 'idle' };
  private listeners = new Set<() => void>();
  private readonly random: () => number;

  constructor(private readonly options: LiveOptions) {
    this.random = options.random ?? Math.random;
  }

  get status(): LiveStatus {
    return this.current;
  }

  /** When the server was last heard (server time, ms), while it cannot be reached; null while it can. */
  get lostSince(): number | null {
    return this.heardLast;
  }

  onStatus = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => {
      this.listeners.delete(listener);
    };
  };

  subscribe(request: LiveRequest, handlers: LiveHandlers): Subscription {
    const entry: Entry = { id: this.nextId++, request, handlers, lostAt: null };
    this.entries.set(entry.id, entry);
    this.start();
    this.ask(entry);
    return {
      update: (changed) => {
        if (!this.entries.has(entry.id)) return;
        // The new one first, then the old one goes: no reading falls between.
        const old = entry.id;
        entry.id = this.nextId++;
        entry.request = changed;
        this.entries.delete(old);
        this.entries.set(entry.id, entry);
        this.ask(entry);
        this.send({ op: 'unsubscribe', id: old });
      },
      close: () => {
        if (this.entries.delete(entry.id)) this.send({ op: 'unsubscribe', id: entry.id });
      },
    };
  }

  /** Connects now, without waiting for the next attempt: the network is back, or a person asked. */
  reconnect(): void {
    if (this.current.kind === 'open' || this.current.kind === 'connecting') return;
    this.attempt = 0;
    this.connect();
  }

  /** Something may have happened to the network, or the machine slept: is the connection still there? */
  probe(): void {
    if (this.current.kind === 'open') this.ping(PROBE_TIMEOUT);
    else this.reconnect();
  }

  /** Signed in (again). */
  start(): void {
    if (this.current.kind === 'idle') this.connect();
  }

  /** Signed out: nothing is kept. */
  stop(): void {
    this.entries.clear();
    this.halt({ kind: 'idle' });
  }

  private connect(): void {
    this.clearRetry();
    this.attempt += 1;
    this.set({ kind: 'connecting', attempt: this.attempt });
    let opened = false;
    const socket = this.options.open();
    this.socket = socket;
    this.openTimer = setTimeout(() => {
      if (socket !== this.socket) return;
      this.lost(1006, false);
      socket.close();
    }, OPEN_TIMEOUT);
    socket.onopen = () => {
      if (socket !== this.socket) return;
      opened = true;
      this.clearOpenTimer();
      this.attempt = 0;
      this.heardLast = null;
      this.lastHeard = this.steady();
      this.set({ kind: 'open', roundTrip: null });
      this.ping();
      for (const entry of this.entries.values()) this.ask(entry);
      this.beat = setInterval(() => this.heartbeat(), BEAT);
    };
    socket.onmessage = ({ data }) => {
      if (socket !== this.socket) return;
      this.lastHeard = this.steady();
      const message = decode(data);
      if (message) this.deliver(message);
    };
    socket.onerror = () => {}; // always followed by close
    socket.onclose = ({ code }) => {
      if (socket === this.socket) this.lost(code, opened);
    };
  }

  private lost(code: number, opened: boolean): void {
    const lostAt = this.options.clock.now();
    this.heardLast ??= opened ? lostAt - (this.steady() - this.lastHeard) : lostAt;
    for (const entry of this.entries.values()) entry.lostAt ??= lostAt;
    this.release();
    if (code === CLOSE_SESSION_ENDED) {
      this.end();
      return;
    }
    this.wait();
    if (!opened) {
      this.options.isSignedIn?.().then((signedIn) => {
        if (!signedIn && this.current.kind !== 'open') this.end();
      });
    }
  }

  /** Between a half and the whole of a doubling span, so that many browsers do not come back in one instant. */
  private wait(): void {
    const span = Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** this.attempt);
    const delay = span * (0.5 + this.random() / 2);
    this.set({ kind: 'waiting', attempt: this.attempt, until: this.steady() + delay });
    this.retry = setTimeout(() => this.connect(), delay);
  }

  private end(): void {
    this.halt({ kind: 'ended' });
    this.options.onSessionEnded?.();
  }

  private halt(status: LiveStatus): void {
    const socket = this.socket;
    this.release();
    socket?.close(1000);
    this.clearRetry();
    this.attempt = 0;
    this.heardLast = null;
    this.set(status);
  }

  /** After a session ended: the subscriptions are still wanted. */
  resume(): void {
    if (this.current.kind === 'ended') this.connect();
    else this.start();
  }

  private heartbeat(): void {
    const now = this.steady();
    if (this.pingSent !== null) {
      // Any frame proves the connection, even if this server does not answer pings.
      if (this.lastHeard > this.pingSent) this.pingSent = null;
      else if (now - this.pingSent > this.pingTimeout) {
        const socket = this.socket;
        this.lost(1006, true);
        socket?.close();
      }
      return;
    }
    if (now - this.lastHeard > QUIET_BEFORE_PING || now - this.lastPing > STEADY_PING) this.ping();
  }

  private ping(timeout = PING_TIMEOUT): void {
    this.pingTimeout = timeout;
    this.pingSent = this.steady();
    this.lastPing = this.pingSent;
    this.send({ op: 'ping' });
  }

  private deliver(message: LiveMessage): void {
    if (message.op === 'pong') {
      if (this.pingSent === null) return;
      const roundTrip = this.steady() - this.pingSent;
      this.options.clock.observe(parseTime(message.time), this.pingSent);
      this.pingSent = null;
      this.set({ kind: 'open', roundTrip });
      return;
    }
    const entry = message.id === null ? undefined : this.entries.get(message.id);
    if (!entry) return; // of a subscription that was closed a moment ago
    const { handlers } = entry;
    switch (message.op) {
      case 'data':
        handlers.data?.(message.data);
        break;
      case 'state':
        handlers.state?.(message);
        break;
      case 'trace':
        handlers.trace?.(message.event);
        break;
      case 'event':
        handlers.event?.(message.event);
        break;
      case 'error':
        handlers.error?.(message.error);
        break;
      case 'subscribed': {
        handlers.subscribed?.(message.series);
        const from = entry.lostAt;
        entry.lostAt = null;
        if (from !== null) handlers.resumed?.(from);
        break;
      }
    }
  }

  private ask(entry: Entry): void {
    this.send({ op: 'subscribe', id: entry.id, ...entry.request });
  }

  private send(message: object): void {
    if (this.current.kind === 'open' && this.socket?.readyState === OPEN)
      this.socket.send(JSON.stringify(message));
  }

  private clearOpenTimer(): void {
    if (this.openTimer) clearTimeout(this.openTimer);
    this.openTimer = null;
  }

  private release(): void {
    this.clearOpenTimer();
    if (this.beat) clearInterval(this.beat);
    this.beat = null;
    this.pingSent = null;
    const socket = this.socket;
    this.socket = null;
    if (socket) socket.onopen = socket.onclose = socket.onmessage = null;
  }

  private clearRetry(): void {
    if (this.retry) clearTimeout(this.retry);
    this.retry = null;
  }

  private steady(): number {
    return this.options.clock.steadyNow();
  }

  private set(status: LiveStatus): void {
    this.current = status;
    for (const listener of this.listeners) listener();
  }
}
