import createClient, { type Middleware } from 'openapi-fetch';
import type { components, paths } from './schema';

export type Schemas = components['schemas'];
export type Device = Schemas['Device'];
export type DeviceListItem = Schemas['DeviceListItem'];
export type User = Schemas['User'];

/** An answer that is not a success, as the person should read it. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly field?: string,
  ) {
    super(message);
  }
}

type Unauthenticated = () => void;
let unauthenticated: Unauthenticated = () => {};

/** Called when any request is answered with 401, except those that ask for a session. */
export function onUnauthenticated(handler: Unauthenticated): void {
  unauthenticated = handler;
}

const SIGN_IN = /\/api\/v1\/auth\/(link|login|me|password)$/;

const guard: Middleware = {
  onResponse({ request, response }) {
    if (response.status === 401 && !SIGN_IN.test(new URL(request.url).pathname)) unauthenticated();
    return undefined;
  },
};

/** The contract spells most lists as repeated parameters, these as one with commas. */
const COMMA_LISTS = new Set(['state', 'include', 'aggregate', 'type']);

export function serializeQuery(query: Record<string, unknown>): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value === undefined || value === null) continue;
    if (!Array.isArray(value)) search.append(name, String(value));
    else if (COMMA_LISTS.has(name)) search.append(name, value.join(','));
    else for (const item of value) search.append(name, String(item));
  }
  return search.toString();
}

export const api = createClient<paths>({
  baseUrl: typeof location === 'undefined' ? 'http://localhost' : location.origin,
  credentials: 'same-origin',
  querySerializer: serializeQuery,
  // Looked up at each call, so that a test may replace it.
  fetch: (request) => globalThis.fetch(request),
});
api.use(guard);

interface Answer<T> {
  data?: T;
  error?: unknown;
  response: Response;
}

/** The body of a success; anything else is thrown as an ApiError. */
export async function take<T>(call: Promise<Answer<T>>): Promise<T> {
  let answer: Answer<T>;
  try {
    answer = await call;
  } catch (cause) {
    if (cause instanceof DOMException && cause.name === 'AbortError') throw cause;
    throw new ApiError(0, 'unreachable', 'The server cannot be reached.');
  }
  if (answer.response.ok) return answer.data as T;
  const detail = (answer.error as Partial<Schemas['Error']> | undefined)?.error;
  throw new ApiError(
    answer.response.status,
    detail?.code ?? 'internal',
    detail?.message ?? `The server answered ${answer.response.status}.`,
    detail?.field,
  );
}

/** As the person should read it. A first word that is a name (`max_age`, `rpm.low`) stays as it is spelled. */
export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return /^\p{Ll}+[\s,]/u.test(error.message)
    ? error.message[0]!.toUpperCase() + error.message.slice(1)
    : error.message;
}
