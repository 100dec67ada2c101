import { MantineProvider } from '@mantine/core';
import { QueryClient, QueryClientProvider } from '@tanstack/react-query';
import { createMemoryHistory, RouterProvider } from '@tanstack/react-router';
import { render } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { vi } from 'vitest';
import { onUnauthenticated } from '@/api/client';
import { makeRouter } from '@/app/router';
import { theme } from '@/app/theme';
import { Clock } from '@/lib/clock';
import { LiveClient } from '@/live/LiveClient';
import { LiveStore } from '@/live/LiveStore';
import { LiveContext } from '@/live/live';
import { ToastShelf } from '@/ui/toasts';
import { FakeSocket } from './FakeSocket';

export interface Call {
  method: string;
  path: string;
  query: URLSearchParams;
  body: unknown;
}
type Answer = { status?: number; body?: unknown; after?: number };
type Handler = (call: Call) => Answer;

export const fail = (status: number, code: string, message: string, field?: string): Answer => ({
  status,
  body: { error: { code, message, ...(field ? { field } : {}) } },
});

const user = { username: 'admin', role: 'administrator', tenant: 'default', has_password: true };

export const device = (id: string, more: object = {}) => ({
  device: id,
  name: null,
  profile: null,
  labels: {},
  location: null,
  state: 'online',
  connected: false,
  last_seen: new Date().toISOString(),
  created_at: '2026-01-01T00:00:00Z',
  metrics: [{ name: 'temperature', type: 'double', unit: '°C' }],
  demo: false,
  ...more,
});

/** What a server with two devices answers; a test replaces what it is about. */
export function defaults(): Record<string, Handler> {
  const devices = [device('this-machine', { name: 'This machine' }), device('pump-1', { name: 'Feed pump' })];
  return {
    'GET /api/v1/auth/me': () => ({ body: { user, mode: 'closed' } }),
    'POST /api/v1/auth/logout': () => ({ status: 204 }),
    'GET /api/v1/system': () => ({
      body: {
        version: '1.2.3',
        uptime_s: 60,
        mode: 'closed',
        roles: [],
        storage: { log_bytes: 1000, series_bytes: 1000, points: 1, free_bytes: 1e9 },
        devices: 2,
        readings_per_s: 12,
        mqtt: 'localhost:1883',
        self_device: 'this-machine',
        health: { status: 'ok', phase: 'serving', ready: true, components: {} },
      },
    }),
    'GET /api/v1/demo': () => ({ body: { installed: false, running: false, devices: 0 } }),
    'GET /api/v1/profiles': () => ({ body: { profiles: [], next: null } }),
    'GET /api/v1/devices': ({ query }) => {
      const q = query.get('q') ?? '';
      const found = devices
        .filter((d) => `${d.device} ${d.name}`.includes(q))
        .map((d) => ({
          ...d,
          latest: { temperature: { value: 20, time: new Date().toISOString(), unit: '°C' } },
        }));
      return { body: { devices: found, next: null, total: found.length } };
    },
    'GET /api/v1/devices/this-machine': () => ({ body: devices[0] }),
    'GET /api/v1/devices/pump-1': () => ({ body: devices[1] }),
    'GET /api/v1/devices/pump-1/latest': () => ({ body: { device: 'pump-1', metrics: {} } }),
    'GET /api/v1/commands': () => ({ body: { commands: [], next: null } }),
    'GET /api/v1/query': () => ({ body: { series: [], next: null } }),
    'GET /api/v1/events': () => ({ body: { events: [], next: null } }),
  };
}

/** The whole app at one address, over a server and a live socket that the test plays. */
export function openApp(at: string, handlers: Record<string, Handler> = {}) {
  const all = { ...defaults(), ...handlers };
  const calls: Call[] = [];
  vi.stubGlobal('fetch', async (input: Request | string) => {
    const request = typeof input === 'string' ? new Request(new URL(input, 'http://localhost')) : input;
    const url = new URL(request.url);
    const text = request.method === 'GET' ? '' : await request.text();
    const call: Call = {
      method: request.method,
      path: decodeURIComponent(url.pathname),
      query: url.searchParams,
      body: text ? JSON.parse(text) : undefined,
    };
    calls.push(call);
    const handler = all[`${call.method} ${call.path}`];
    const {
      status = 200,
      body,
      after,
    } = handler ? handler(call) : fail(404, 'not_found', `no path ${call.path}`);
    if (after) await new Promise((resolve) => setTimeout(resolve, after));
    request.signal.throwIfAborted();
    return new Response(body === undefined ? null : JSON.stringify(body), {
      status,
      headers: { 'Content-Type': 'application/json' },
    });
  });

  const sockets: FakeSocket[] = [];
  const client = new LiveClient({
    clock: new Clock(),
    open: () => {
      const socket = new FakeSocket();
      sockets.push(socket);
      return socket;
    },
  });
  const live = { client, store: new LiveStore(client) };
  const queryClient = new QueryClient({ defaultOptions: { queries: { retry: false } } });
  const [path, hash] = at.split('#');
  history.replaceState(null, '', hash ? `#${hash}` : '/');
  const router = makeRouter({ queryClient, live }, createMemoryHistory({ initialEntries: [path!] }));
  onUnauthenticated(() => {
    router.navigate({ to: '/login', search: { next: router.state.location.href } });
  });
  render(
    <MantineProvider theme={theme} env="test">
      <QueryClientProvider client={queryClient}>
        <LiveContext value={live}>
          <RouterProvider router={router} />
          <ToastShelf />
        </LiveContext>
      </QueryClientProvider>
    </MantineProvider>,
  );
  return {
    calls,
    called: (name: string) => calls.filter((c) => `${c.method} ${c.path}` === name),
    router,
    live,
    queryClient,
    get socket() {
      return sockets.at(-1)!;
    },
    user: userEvent.setup(),
  };
}
