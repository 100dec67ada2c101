import { useMemo } from 'react';
import type { Device } from '@/api/client';
import { useLive } from '@/live/live';
import classes from './Map.module.css';
import { MapCanvas } from './MapCanvas';
import { placeMetrics, whereabouts } from './position';
import { texts } from './texts';
import { useTrack } from './useTrack';

/** Where one device is, and where it has been; nothing for one that has no place. */
export function DeviceMap({ device }: { device: Device }) {
  const { store } = useLive();
  const track = useTrack(device);
  const moves = placeMetrics(device.metrics.map((m) => m.name)) !== null;
  const markers = useMemo(() => {
    const where = whereabouts(store, device);
    if (!where) return [];
    const state = () => store.status(device.device)?.state ?? device.state;
    return [{ id: device.device, name: device.name ?? device.device, where, state }];
  }, [store, device]);
  if (markers.length === 0) return null;
  return (
    <section className={classes.card} aria-label={texts.title}>
      <MapCanvas markers={markers} selected={device.device} track={track} closest={256 * 2 ** 6} />
      {moves && <p className={classes.note}>{texts.track}</p>}
    </section>
  );
}
