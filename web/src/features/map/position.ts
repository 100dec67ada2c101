import type { Device } from '@/api/client';
import { toNumber } from '@/lib/numbers';
import type { LiveSeries, LiveStore } from '@/live/LiveStore';

/** The pairs of metrics that are read as a place. */
const PAIRS = [
  ['latitude', 'longitude'],
  ['lat', 'lon'],
  ['lat', 'lng'],
] as const;

export const PLACE_METRICS = [...new Set(PAIRS.flat())];

export function placeMetrics(names: string[]): readonly [string, string] | null {
  return PAIRS.find(([lat, lon]) => names.includes(lat) && names.includes(lon)) ?? null;
}

export interface Position {
  latitude: number;
  longitude: number;
}

const isPlace = (latitude: number, longitude: number) =>
  Math.abs(latitude) <= 90 && Math.abs(longitude) <= 180 && !(latitude === 0 && longitude === 0);

export type Whereabouts = () => Position | null;

/** Where a device is now: what it reports, else its fixed location; null for one that has neither. */
export function whereabouts(
  store: LiveStore,
  device: Pick<Device, 'device' | 'location' | 'metrics'>,
): Whereabouts | null {
  const fixed = device.location && { latitude: device.location.lat, longitude: device.location.lon };
  const pair = placeMetrics(device.metrics.map((m) => m.name));
  if (!pair) return fixed ? () => fixed : null;
  const [lat, lon] = pair.map((name) => store.series(device.device, name)) as [LiveSeries, LiveSeries];
  return () => {
    const latitude = toNumber(lat.value as number);
    const longitude = toNumber(lon.value as number);
    // Receivers without a fix say 0, 0.
    return isPlace(latitude, longitude) ? { latitude, longitude } : fixed;
  };
}
