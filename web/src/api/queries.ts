import {
  infiniteQueryOptions,
  keepPreviousData,
  type QueryClient,
  queryOptions,
} from '@tanstack/react-query';
import { naturally } from '@/lib/order';
import { parseTime, toDuration, toRfc3339 } from '@/lib/time';
import { ApiError, api, type DeviceListItem, type Schemas, take } from './client';

export interface DeviceFilter {
  q?: string | undefined;
  state?: Schemas['DeviceState'] | undefined;
  profile?: string | undefined;
  labels?: string[] | undefined; // key:value
  sort?: 'name' | 'last_seen' | 'state' | undefined;
}

export const PAGE = 200;

export const queries = {
  me: () =>
    queryOptions({
      queryKey: ['me'],
      queryFn: () => take(api.GET('/api/v1/auth/me')),
      staleTime: 5 * 60_000,
      retry: (count, error) => !(error instanceof ApiError && error.status === 401) && count < 2,
    }),

  system: () =>
    queryOptions({
      queryKey: ['system'],
      queryFn: () => take(api.GET('/api/v1/system')),
      refetchInterval: 5000,
    }),

  demo: () =>
    queryOptions({ queryKey: ['demo'], queryFn: () => take(api.GET('/api/v1/demo')), staleTime: 30_000 }),

  profiles: () =>
    queryOptions({
      queryKey: ['profiles'],
      queryFn: async () => {
        const all: Schemas['Profile'][] = [];
        let cursor: string | null = null;
        do {
          const page: { profiles: Schemas['Profile'][]; next: string | null } = await take(
            api.GET('/api/v1/profiles', {
              params: { query: { limit: 1000, ...(cursor ? { cursor } : {}) } },
            }),
          );
          all.push(...page.profiles);
          cursor = page.next;
        } while (cursor);
        return all.sort((a, b) => naturally(a.name ?? a.profile, b.name ?? b.profile));
      },
      staleTime: 60_000,
    }),

  devices: (filter: DeviceFilter) =>
    infiniteQueryOptions({
      queryKey: ['devices', 'list', filter],
      queryFn: ({ pageParam, signal }) =>
        take(
          api.GET('/api/v1/devices', {
            params: {
              query: {
                limit: PAGE,
                // The facets cost the server a pass over all devices: with the first page only.
                include: pageParam ? ['latest'] : ['latest', 'facets'],
                ...(pageParam ? { cursor: pageParam } : {}),
                ...(filter.q ? { q: filter.q } : {}),
                ...(filter.state ? { state: [filter.state] } : {}),
                ...(filter.profile ? { profile: filter.profile } : {}),
                ...(filter.labels?.length ? { label: filter.labels } : {}),
                ...(filter.sort ? { sort: filter.sort } : {}),
              },
            },
            signal,
          }),
        ),
      initialPageParam: '',
      getNextPageParam: (page) => page.next ?? undefined,
      placeholderData: keepPreviousData,
      staleTime: 15_000,
    }),

  deviceSearch: (q: string) =>
    queryOptions({
      queryKey: ['devices', 'search', q],
      queryFn: ({ signal }) =>
        take(api.GET('/api/v1/devices', { params: { query: { q, limit: 8 } }, signal })),
      placeholderData: keepPreviousData,
      staleTime: 10_000,
    }),

  device: (device: string) =>
    queryOptions({
      queryKey: ['devices', 'one', device],
      queryFn: () => take(api.GET('/api/v1/devices/{device}', { params: { path: { device } } })),
      staleTime: 5000,
      retry: (count, error) => !(error instanceof ApiError && error.status === 404) && count < 2,
    }),

  latest: (device: string) =>
    queryOptions({
      queryKey: ['devices', 'one', device, 'latest'],
      queryFn: () => take(api.GET('/api/v1/devices/{device}/latest', { params: { path: { device } } })),
    }),

  commands: (device: string) =>
    queryOptions({
      queryKey: ['devices', 'one', device, 'commands'],
      queryFn: () => take(api.GET('/api/v1/commands', { params: { query: { device, limit: 20 } } })),
    }),

  credentials: (device: string) =>
    queryOptions({
      queryKey: ['devices', 'one', device, 'credentials'],
      queryFn: () => take(api.GET('/api/v1/devices/{device}/credentials', { params: { path: { device } } })),
    }),

  events: (device: string) =>
    infiniteQueryOptions({
      queryKey: ['devices', 'one', device, 'events'],
      queryFn: ({ pageParam }) =>
        take(
          api.GET('/api/v1/events', {
            params: { query: { device, limit: 50, ...(pageParam ? { cursor: pageParam } : {}) } },
          }),
        ),
      initialPageParam: '',
      getNextPageParam: (page) => page.next ?? undefined,
    }),

  deadLetters: (device: string) =>
    infiniteQueryOptions({
      queryKey: ['devices', 'one', device, 'dead-letters'],
      queryFn: ({ pageParam }) =>
        take(
          api.GET('/api/v1/dead-letters', {
            params: { query: { device, limit: 50, ...(pageParam ? { cursor: pageParam } : {}) } },
          }),
        ),
      initialPageParam: '',
      getNextPageParam: (page) => page.next ?? undefined,
    }),
};

export interface Readings {
  device: string;
  metric: string;
  unit: string | null;
  /** Of line protocol: part of the series, beside device and metric. */
  measurement?: string | undefined;
  tags?: Record<string, string> | undefined;
  columns: string[];
  /** Times in ms. */
  points: (number | string | boolean | null)[][];
}

export interface ReadingsRequest {
  devices: string[];
  metrics?: string[];
  from: number;
  to: number;
  window?: number; // ms; absent or 0 for raw readings
  aggregates?: Schemas['Aggregate'][];
  limit?: number;
}

/** All pages of a query, joined. */
export async function fetchReadings(
  request: ReadingsRequest,
  signal?: AbortSignal,
  mostPages = 50,
): Promise<Readings[]> {
  const joined = new Map<string, Readings>();
  let cursor: string | null = null;
  for (let page = 0; page < mostPages; page += 1) {
    const answer: Schemas['QueryResult'] = await take(
      api.GET('/api/v1/query', {
        params: {
          query: {
            device: request.devices,
            ...(request.metrics?.length ? { metric: request.metrics } : {}),
            from: toRfc3339(request.from),
            to: toRfc3339(request.to),
            ...(request.window
              ? { window: toDuration(request.window), aggregate: request.aggregates ?? ['mean'] }
              : {}),
            limit: request.limit ?? 100_000,
            epoch: 'ms',
            ...(cursor ? { cursor } : {}),
          },
        },
        ...(signal ? { signal } : {}),
      }),
    );
    for (const series of answer.series) {
      const device = series.device ?? '';
      const { metric, unit, columns, measurement, tags } = series;
      const key = JSON.stringify([device, metric, measurement, tags]);
      const points = series.points as Readings['points'];
      for (const point of points) if (typeof point[0] !== 'number') point[0] = parseTime(point[0] as string);
      const known = joined.get(key);
      if (known) known.points.push(...points);
      else joined.set(key, { device, metric, unit, columns, points, measurement, tags });
    }
    cursor = answer.next;
    if (!cursor) break;
  }
  return [...joined.values()];
}

/**
 * One series for each device and metric: where lines brought several (by measurement or tags), the plain one, else the first.
 * A chart by metric must not mix them.
 */
export function onePerMetric(list: Readings[]): Readings[] {
  const found = new Map<string, Readings>();
  const isPlain = (r: Readings) => !r.measurement && Object.keys(r.tags ?? {}).length === 0;
  for (const readings of list) {
    const key = JSON.stringify([readings.device, readings.metric]);
    const known = found.get(key);
    if (!known || (isPlain(readings) && !isPlain(known))) found.set(key, readings);
  }
  return [...found.values()];
}

/** Changes a device in every list that shows it. */
export function patchDeviceInLists(
  client: QueryClient,
  device: string,
  change: (old: DeviceListItem) => DeviceListItem | null,
): void {
  client.setQueriesData<{ pages: Schemas['DeviceList'][]; pageParams: unknown[] }>(
    { queryKey: ['devices', 'list'] },
    (data) => {
      if (!data) return data;
      return {
        ...data,
        pages: data.pages.map((page) => ({
          ...page,
          devices: page.devices.flatMap((d) => {
            if (d.device !== device) return [d];
            const next = change(d);
            return next ? [next] : [];
          }),
        })),
      };
    },
  );
}
