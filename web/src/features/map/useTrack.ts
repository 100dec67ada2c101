import { useQuery } from '@tanstack/react-query';
import type { Device } from '@/api/client';
import type { Point } from './mercator';
import { placeMetrics } from './position';
import { fetchTrack } from './track';

const NONE: Point[] = [];

/** The track of a device that reports where it is; refreshed each minute. */
export function useTrack(device: Pick<Device, 'device' | 'metrics'> | null | undefined): Point[] {
  const pair = device ? placeMetrics(device.metrics.map((m) => m.name)) : null;
  const query = useQuery({
    queryKey: ['track', device?.device, pair],
    queryFn: ({ signal }) => fetchTrack(device!.device, pair!, signal),
    enabled: pair !== null,
    refetchInterval: 60_000,
  });
  return query.data ?? NONE;
}
