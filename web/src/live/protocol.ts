import type { components } from '@/api/schema';

type Schemas = components['schemas'];

export type LiveSubscribe = Omit<Schemas['LiveSubscribe'], 'op' | 'id'>;
export type LiveRequest = LiveSubscribe | { trace: string } | { events: true };
export type LiveMessage = Schemas['LiveMessage'];
export type LiveData = Schemas['LiveData'];
export type LiveState = Schemas['LiveState'];
export type TraceEvent = Schemas['TraceEvent'];
export type DeviceEvent = Schemas['Event'];
export type ErrorDetail = Schemas['ErrorDetail'];

/** Close codes of the server that say more than "gone". */
export const CLOSE_SESSION_ENDED = 4401;
export const CLOSE_RULE_BROKEN = 1008;

const OPS = new Set(['subscribed', 'error', 'data', 'state', 'trace', 'event', 'pong']);

/** A frame as a message; null for what this client does not know, so that a newer server may say more. */
export function decode(frame: unknown): LiveMessage | null {
  if (typeof frame !== 'string') return null;
  try {
    const message = JSON.parse(frame);
    return message && typeof message === 'object' && OPS.has(message.op) ? (message as LiveMessage) : null;
  } catch {
    return null;
  }
}
