import { useInfiniteQuery, useQueryClient } from '@tanstack/react-query';
import { useEffect, useMemo } from 'react';
import type { DeviceListItem, Schemas } from '@/api/client';
import { type DeviceFilter, queries } from '@/api/queries';
import { useLive } from '@/live/live';

export interface DeviceListState {
  devices: DeviceListItem[];
  total: number;
  facets: Schemas['DeviceFacets'] | null;
  isLoading: boolean;
  isStale: boolean;
  error: Error | null;
  hasMore: boolean;
  isFetchingMore: boolean;
  loadMore: () => void;
  retry: () => void;
}

/** Where the server gives no facets, they are counted from what has been loaded. */
export function countFacets(devices: DeviceListItem[]): Schemas['DeviceFacets'] {
  const facets: Schemas['DeviceFacets'] = { states: {}, profiles: {}, labels: {} };
  for (const d of devices) {
    facets.states[d.state] = (facets.states[d.state] ?? 0) + 1;
    if (d.profile) facets.profiles[d.profile] = (facets.profiles[d.profile] ?? 0) + 1;
    for (const [key, value] of Object.entries(d.labels)) {
      facets.labels[key] ??= {};
      facets.labels[key][value] = (facets.labels[key][value] ?? 0) + 1;
    }
  }
  return facets;
}

const MOST_PAGES_TO_REFRESH = 3;

export function useDeviceList(filter: DeviceFilter): DeviceListState {
  const query = useInfiniteQuery(queries.devices(filter));
  const client = useQueryClient();
  const { client: live } = useLive();

  // A device or metric that was not there before: the list is asked for again, soon, once for many.
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const subscription = live.subscribe(
      { events: true },
      {
        event: ({ type }) => {
          if (!type.endsWith('_discovered')) return;
          clearTimeout(timer);
          timer = setTimeout(() => {
            client.invalidateQueries({
              queryKey: ['devices', 'list'],
              predicate: ({ state }) =>
                ((state.data as { pages?: unknown[] })?.pages?.length ?? 0) <= MOST_PAGES_TO_REFRESH,
            });
          }, 700);
        },
      },
    );
    return () => {
      clearTimeout(timer);
      subscription.close();
    };
  }, [live, client]);

  const pages = query.data?.pages;
  const devices = useMemo(() => {
    // A device that moved between pages while they were fetched would come twice.
    const seen = new Set<string>();
    return (pages ?? []).flatMap((page) =>
      page.devices.filter((d) => !seen.has(d.device) && seen.add(d.device)),
    );
  }, [pages]);
  const facets = useMemo(
    () => (pages?.[0] ? (pages[0].facets ?? countFacets(devices)) : null),
    [pages, devices],
  );

  return {
    devices,
    total: pages?.at(-1)?.total ?? 0,
    facets,
    isLoading: query.isPending,
    isStale: query.isPlaceholderData,
    error: query.error,
    hasMore: query.hasNextPage,
    isFetchingMore: query.isFetchingNextPage,
    loadMore: () => {
      if (query.hasNextPage && !query.isFetching) query.fetchNextPage();
    },
    // A request that hangs is given up; asking again would only wait for it.
    retry: () => client.resetQueries({ queryKey: queries.devices(filter).queryKey, exact: true }),
  };
}
