import { Button } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { createColumnHelper, tableFeatures, useTable } from '@tanstack/react-table';
import { useVirtualizer } from '@tanstack/react-virtual';
import { type RefObject, useEffect, useMemo, useRef, useState } from 'react';
import { type DeviceListItem, messageOf } from '@/api/client';
import { fetchReadings, onePerMetric, queries } from '@/api/queries';
import { clock } from '@/lib/clock';
import { toNumber } from '@/lib/numbers';
import { useLive, useWatch } from '@/live/live';
import { Waiting } from '@/ui/Waiting';
import classes from './DeviceList.module.css';
import { DeviceRow, metricsToShow } from './DeviceRow';
import { texts } from './texts';
import type { DeviceListState } from './useDeviceList';

const ROW = 52;
const ROW_PHONE = 78;
const TREND_SPAN = 180_000;

const features = tableFeatures({});
const helper = createColumnHelper<typeof features, DeviceListItem>();
const columns = helper.columns([
  helper.display({ id: 'pick', header: () => <span className="visually-hidden">{texts.chart}</span> }),
  helper.accessor('device', { id: 'name', header: texts.columns.name }),
  helper.display({ id: 'readings', header: texts.columns.readings }),
  helper.display({ id: 'trend', header: texts.columns.trend }),
  helper.accessor('last_seen', { id: 'seen', header: texts.columns.seen }),
]);

/** Follows the rows in sight, and fetches what their little lines need from before. */
function useVisible(devices: DeviceListItem[], orders: Map<string, string[]>): void {
  const { store } = useLive();
  const [settled, setSettled] = useState<DeviceListItem[]>([]);
  const key = devices.map((d) => d.device).join('\u0000');
  const current = useRef(devices);
  current.current = devices;
  // biome-ignore lint/correctness/useExhaustiveDependencies: the key stands for the rows
  useEffect(() => {
    const timer = setTimeout(() => setSettled(current.current), 120);
    return () => clearTimeout(timer);
  }, [key]);

  const fetched = useRef(new Set<string>());
  useEffect(() => {
    const first = (d: DeviceListItem) =>
      metricsToShow(d, Object.keys(d.latest ?? {}), orders.get(d.profile ?? ''))[0];
    const fresh = settled.filter((d) => !fetched.current.has(d.device) && first(d) !== undefined);
    if (fresh.length === 0) return;
    const abort = new AbortController();
    const firsts = fresh.map((d) => first(d)!);
    const to = clock.now();
    fetchReadings(
      {
        devices: fresh.map((d) => d.device),
        metrics: [...new Set(firsts)],
        from: to - TREND_SPAN,
        to,
        window: 2000,
      },
      abort.signal,
    )
      .then((list) => {
        for (const d of fresh) fetched.current.add(d.device);
        if (fetched.current.size > 2000) fetched.current.clear();
        for (const { device, metric, points } of onePerMetric(list)) {
          if (firsts[fresh.findIndex((d) => d.device === device)] !== metric) continue;
          store.seedHistory(
            device,
            metric,
            points.map((p) => (p[0] as number) + 1000),
            points.map((p) => toNumber(p[1])),
            false,
          );
        }
      })
      .catch(() => {}); // the lines begin with what comes live
    return () => abort.abort();
  }, [settled, store, orders]);

  useWatch({ devices: settled.map((d) => d.device), interval: '200ms' }, () => {
    fetched.current.clear();
    setSettled((old) => [...old]);
  });
}

export function DeviceList({
  list,
  scroller,
  phone,
  charted,
  colorOf,
  onToggle,
  filtered,
}: {
  list: DeviceListState;
  filtered: boolean;
  scroller: RefObject<HTMLElement | null>;
  phone: boolean;
  charted: string[];
  colorOf: (device: string) => string | null;
  onToggle: (device: string) => void;
}) {
  const table = useTable({ features, columns, data: list.devices, getRowId: (d) => d.device });
  const rows = table.getRowModel().rows;
  const body = useRef<HTMLDivElement>(null);
  const [margin, setMargin] = useState(0);
  const virtualizer = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => (phone ? ROW_PHONE : ROW),
    overscan: 6,
    getItemKey: (i) => rows[i]!.id,
    scrollMargin: margin,
  });
  // biome-ignore lint/correctness/useExhaustiveDependencies: measured again when the layout changes
  useEffect(() => {
    virtualizer.measure();
    if (!scroller.current || !body.current) return;
    const measure = () =>
      setMargin(
        Math.round(
          body.current!.getBoundingClientRect().top -
            scroller.current!.getBoundingClientRect().top +
            scroller.current!.scrollTop,
        ),
      );
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(scroller.current);
    return () => observer.disconnect();
  }, [phone, rows.length === 0]);

  const items = virtualizer.getVirtualItems();
  const last = items.at(-1)?.index ?? 0;
  useEffect(() => {
    // Two screens ahead, so that scrolling seldom waits.
    if (list.hasMore && last > rows.length - 60) list.loadMore();
  }, [last, rows.length, list]);

  const visible = useMemo(
    () => items.map((i) => rows[i.index]?.original).filter((d): d is DeviceListItem => d !== undefined),
    [items, rows],
  );
  const { data: profiles } = useQuery(queries.profiles());
  const orders = useMemo(
    () => new Map((profiles ?? []).map((p) => [p.profile, (p.metrics ?? []).map((m) => m.name)])),
    [profiles],
  );
  useVisible(visible, orders);

  if (list.error && rows.length === 0) {
    return (
      <div className={classes.empty} role="alert">
        <p>
          {texts.failed} {messageOf(list.error)}
        </p>
        <Button variant="default" onClick={list.retry}>
          {texts.retry}
        </Button>
      </div>
    );
  }
  if (list.isLoading) {
    return (
      <div className={classes.empty}>
        <Waiting label={texts.loading} onRetry={list.retry} />
      </div>
    );
  }
  return (
    <div
      role="table"
      aria-label={texts.title}
      aria-rowcount={list.total + 1}
      className={classes.table}
      data-stale={list.isStale || undefined}
    >
      <div role="rowgroup" className={classes.head}>
        {table.getHeaderGroups().map((group) => (
          <div role="row" key={group.id} className={classes.row} aria-rowindex={1}>
            {group.headers.map((header) => (
              <div role="columnheader" key={header.id} data-column={header.column.id}>
                <table.FlexRender header={header} />
              </div>
            ))}
          </div>
        ))}
      </div>
      <div role="rowgroup" ref={body} className={classes.body} style={{ height: virtualizer.getTotalSize() }}>
        {items.map((item) => {
          const row = rows[item.index]!;
          return (
            <div
              role="row"
              key={item.key}
              aria-rowindex={item.index + 2}
              className={classes.row}
              style={{ height: item.size, transform: `translateY(${item.start - margin}px)` }}
            >
              <DeviceRow
                item={row.original}
                order={orders.get(row.original.profile ?? '')}
                onChart={charted.includes(row.id)}
                color={colorOf(row.id)}
                onToggle={onToggle}
              />
            </div>
          );
        })}
      </div>
      {list.isFetchingMore && (
        <p className={classes.more} role="status">
          {texts.more}
        </p>
      )}
      {rows.length === 0 && <p className={classes.empty}>{filtered ? texts.none : texts.noneAtAll}</p>}
    </div>
  );
}
