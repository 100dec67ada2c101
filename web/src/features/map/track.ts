import { fetchReadings, onePerMetric } from '@/api/queries';
import { clock } from '@/lib/clock';
import { toNumber } from '@/lib/numbers';
import { type Point, project } from './mercator';

export const TRACK_SPAN = 6 * 3_600_000;
const STEP = 60_000;

/** Where a device has been in the last hours, a point a minute. */
export async function fetchTrack(
  device: string,
  [latitude, longitude]: readonly [string, string],
  signal?: AbortSignal,
): Promise<Point[]> {
  const to = clock.now();
  const list = onePerMetric(
    await fetchReadings(
      {
        devices: [device],
        metrics: [latitude, longitude],
        from: to - TRACK_SPAN,
        to,
        window: STEP,
        aggregates: ['last'],
      },
      signal,
    ),
  );
  const of = (metric: string) => list.find((r) => r.metric === metric)?.points ?? [];
  const longitudes = new Map(of(longitude).map((p) => [p[0], toNumber(p[1] as number)]));
  return of(latitude).flatMap(([time, value]) => {
    const lon = longitudes.get(time!);
    const lat = toNumber(value as number);
    return lon === undefined || Number.isNaN(lon) || Number.isNaN(lat) ? [] : [project(lat, lon)];
  });
}
