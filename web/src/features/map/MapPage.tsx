import { useInfiniteQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { useEffect, useMemo } from 'react';
import type { DeviceListItem } from '@/api/client';
import { queries } from '@/api/queries';
import { parseTime } from '@/lib/time';
import { useDeviceStatus, useLive, useWatch } from '@/live/live';
import { Notice } from '@/ui/Notice';
import { StateDot } from '@/ui/StateDot';
import classes from './Map.module.css';
import { MapCanvas } from './MapCanvas';
import { PLACE_METRICS, placeMetrics, whereabouts } from './position';
import { texts } from './texts';
import { useTrack } from './useTrack';

const MOST_PAGES = 10;

/** All devices that can have a place; those that move follow by themselves. */
export function MapPage({
  selected,
  onSelect,
}: {
  selected: string | null;
  onSelect: (device: string | null) => void;
}) {
  const { store } = useLive();
  const query = useInfiniteQuery({ ...queries.devices({}), refetchInterval: 30_000 });
  const pages = query.data?.pages;
  const { hasNextPage, isFetching, fetchNextPage } = query;
  useEffect(() => {
    if (hasNextPage && !isFetching && (pages?.length ?? 0) < MOST_PAGES) fetchNextPage();
  }, [hasNextPage, isFetching, fetchNextPage, pages]);

  const devices = useMemo(
    () => [...new Map((pages ?? []).flatMap((p) => p.devices).map((d) => [d.device, d])).values()],
    [pages],
  );
  const placed = useMemo(
    () => devices.filter((d) => d.location || placeMetrics(d.metrics.map((m) => m.name))),
    [devices],
  );
  useEffect(() => {
    for (const d of placed) {
      store.seedStatus(d.device, {
        state: d.state,
        connected: d.connected,
        lastSeen: parseTime(d.last_seen),
      });
      for (const name of PLACE_METRICS) {
        const latest = d.latest?.[name];
        if (latest) store.seedLatest(d.device, name, latest.value, parseTime(latest.time), latest.unit);
      }
    }
  }, [store, placed]);
  useWatch({ devices: placed.map((d) => d.device), metrics: PLACE_METRICS, interval: '500ms' });

  const markers = useMemo(
    () =>
      placed.map((d) => ({
        id: d.device,
        name: d.name ?? d.device,
        where: whereabouts(store, d)!,
        state: () => store.status(d.device)?.state ?? d.state,
      })),
    [store, placed],
  );
  const chosen = placed.find((d) => d.device === selected);
  const track = useTrack(chosen);
  const total = pages?.at(-1)?.total ?? 0;

  return (
    <div className={classes.page}>
      <h1 className="visually-hidden">{texts.title}</h1>
      <MapCanvas markers={markers} selected={chosen?.device ?? null} track={track} onPick={onSelect} />
      <section className={classes.side} aria-label={texts.list}>
        {query.error && <Notice icon="alert">{query.error.message}</Notice>}
        {pages && placed.length === 0 ? (
          <Notice icon="place">
            <b>{texts.none}</b> {texts.noneHelp}
          </Notice>
        ) : (
          <p className={classes.count}>{texts.placed(placed.length)}</p>
        )}
        {total > devices.length && !isFetching && (
          <p className={classes.count}>{texts.more(devices.length, total)}</p>
        )}
        <ul className={classes.list}>
          {placed.map((d) => (
            <Row key={d.device} device={d} chosen={d.device === selected} onSelect={onSelect} />
          ))}
        </ul>
      </section>
    </div>
  );
}

function Row({
  device,
  chosen,
  onSelect,
}: {
  device: DeviceListItem;
  chosen: boolean;
  onSelect: (device: string | null) => void;
}) {
  const status = useDeviceStatus(device.device);
  const moves = placeMetrics(device.metrics.map((m) => m.name)) !== null;
  return (
    <li
      className={classes.row}
      data-chosen={chosen || undefined}
      ref={(element) => {
        if (chosen) element?.scrollIntoView?.({ block: 'nearest' });
      }}
    >
      <button type="button" aria-pressed={chosen} onClick={() => onSelect(chosen ? null : device.device)}>
        <StateDot state={status?.state ?? device.state} />
        <span className={classes.name}>{device.name ?? device.device}</span>
        <span className={classes.place}>{device.location?.place ?? ''}</span>
      </button>
      {chosen && (
        <p className={classes.open}>
          <Link to="/devices/$device" params={{ device: device.device }}>
            {texts.open} {device.name ?? device.device}
          </Link>
          {moves && <span>{texts.track}</span>}
        </p>
      )}
    </li>
  );
}
