import {
  createContext,
  useCallback,
  useContext,
  useEffect,
  useMemo,
  useRef,
  useSyncExternalStore,
} from 'react';
import { clock } from '@/lib/clock';
import { LiveClient, type Socket } from './LiveClient';
import { type DeviceStatus, LiveStore, type Watch } from './LiveStore';

export interface Live {
  client: LiveClient;
  store: LiveStore;
}

export function liveUrl(place: { protocol: string; host: string } = location): string {
  return `${place.protocol === 'https:' ? 'wss' : 'ws'}://${place.host}/api/v1/live`;
}

async function isSignedIn(): Promise<boolean> {
  try {
    return (await fetch('/api/v1/auth/me', { credentials: 'same-origin' })).status !== 401;
  } catch {
    return true; // unreachable is not signed out
  }
}

export function createLive(onSessionEnded: () => void): Live {
  const client = new LiveClient({
    open: () => new WebSocket(liveUrl()) as unknown as Socket,
    clock,
    isSignedIn,
    onSessionEnded,
  });
  window.addEventListener('online', () => client.probe());
  window.addEventListener('offline', () => client.probe());
  window.addEventListener('focus', () => client.probe());
  document.addEventListener('visibilitychange', () => {
    if (!document.hidden) client.probe();
  });
  return { client, store: new LiveStore(client) };
}

export const LiveContext = createContext<Live | null>(null);

export function useLive(): Live {
  const live = useContext(LiveContext);
  if (!live) throw new Error('LiveContext is missing');
  return live;
}

/** Follows a selection while mounted. A change of the selection keeps the subscription's readings flowing. */
export function useWatch(selection: Watch, onGap?: (from: number) => void): void {
  const { store } = useLive();
  const gap = useRef(onGap);
  gap.current = onGap;
  const key = JSON.stringify(selection);
  const handle = useRef<ReturnType<LiveStore['watch']> | null>(null);
  useEffect(() => {
    const watch = JSON.parse(key) as Watch;
    if (handle.current) handle.current.update(watch);
    else handle.current = store.watch(watch, (from) => gap.current?.(from));
  }, [store, key]);
  useEffect(
    () => () => {
      handle.current?.close();
      handle.current = null;
    },
    [],
  );
}

/** State of one device; renders again when it changes, not for readings. */
export function useDeviceStatus(device: string): DeviceStatus | null {
  const { store } = useLive();
  const subscribe = useCallback((listener: () => void) => store.onDevice(device, listener), [store, device]);
  return useSyncExternalStore(subscribe, () => store.status(device));
}

/** The metrics of a device that something came of; renders again for the first of each. */
export function useMetrics(device: string | null): string[] {
  const { store } = useLive();
  const subscribe = useCallback(
    (listener: () => void) => (device === null ? () => {} : store.onDevice(device, listener)),
    [store, device],
  );
  const names = useSyncExternalStore(subscribe, () =>
    device === null ? '' : store.metricsOf(device).join('\u0000'),
  );
  return useMemo(() => (names ? names.split('\u0000') : []), [names]);
}

/** When the server was last heard, while it cannot be reached; null while it can. */
export function useLostSince(): number | null {
  const { client } = useLive();
  return useSyncExternalStore(client.onStatus, () => client.lostSince);
}
