import { ActionIcon, Button, Menu, Tabs, Tooltip } from '@mantine/core';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { type ReactNode, useCallback, useEffect, useMemo, useState } from 'react';
import { ApiError, api, type Device, messageOf, take } from '@/api/client';
import { fetchReadings, onePerMetric, patchDeviceInLists, queries } from '@/api/queries';
import { clock } from '@/lib/clock';
import { isCoordinate, readable, toNumber } from '@/lib/numbers';
import { parseTime } from '@/lib/time';
import type { View } from '@/lib/window';
import { useDeviceStatus, useLive, useMetrics, useWatch } from '@/live/live';
import { ConfirmByName } from '@/ui/ConfirmByName';
import { Icon } from '@/ui/icons';
import { Age } from '@/ui/Live';
import { Notice } from '@/ui/Notice';
import { StateDot } from '@/ui/StateDot';
import { toast } from '@/ui/toasts';
import { Waiting } from '@/ui/Waiting';
import { CommandsPanel } from './CommandsPanel';
import { CredentialsTab } from './CredentialsTab';
import classes from './DevicePage.module.css';
import { EditDialog } from './EditDialog';
import { EventsTab } from './EventsTab';
import { HistoryPanel } from './HistoryPanel';
import { LatestTiles } from './LatestTiles';
import { RefusedTab } from './RefusedTab';
import { texts } from './texts';
import { viewFromSearch, viewToSearch } from './view';

export interface DeviceState {
  tab?: 'history' | 'events' | 'refused' | 'credentials' | undefined;
  span?: string | undefined;
  from?: string | undefined;
  to?: string | undefined;
  m?: string[] | undefined;
}

const MOST_AT_FIRST = 4;
const TILE_SPAN = 180_000;

export function DevicePage({
  id,
  state,
  onChange,
  onGone,
  map,
}: {
  id: string;
  state: DeviceState;
  onChange: (change: DeviceState) => void;
  onGone: () => void;
  /** Shown below the history, for a device that has a place. */
  map?: (device: Device) => ReactNode;
}) {
  const { store } = useLive();
  const client = useQueryClient();
  const query = useQuery({
    ...queries.device(id),
    // Until its first reading has told what it measures.
    refetchInterval: ({ state: s }) => (s.data?.metrics.length === 0 ? 1500 : 30_000),
  });
  const latest = useQuery(queries.latest(id));
  const [dialog, show] = useState<'edit' | 'delete' | null>(null);
  useWatch({ devices: [id], interval: '50ms' });
  const status = useDeviceStatus(id);
  const device = query.data;

  useEffect(() => {
    if (device)
      store.seedStatus(id, {
        state: device.state,
        connected: device.connected,
        lastSeen: parseTime(device.last_seen),
      });
  }, [store, id, device]);
  useEffect(() => {
    for (const [metric, l] of Object.entries(latest.data?.metrics ?? {})) {
      store.seedLatest(id, metric, l.value, parseTime(l.time), l.unit);
    }
  }, [store, id, latest.data]);
  // The little lines begin with what came before.
  const hasMetrics = (device?.metrics.length ?? 0) > 0;
  useEffect(() => {
    if (!hasMetrics) return;
    const abort = new AbortController();
    const to = clock.now();
    fetchReadings({ devices: [id], from: to - TILE_SPAN, to }, abort.signal)
      .then((list) => {
        for (const { metric, points } of onePerMetric(list)) {
          const numbers = points.filter((p) => !Number.isNaN(toNumber(p[1] as number)));
          store.seedHistory(
            id,
            metric,
            numbers.map((p) => p[0] as number),
            numbers.map((p) => toNumber(p[1] as number)),
            true,
          );
        }
      })
      .catch(() => {}); // they begin with what comes live
    return () => abort.abort();
  }, [store, id, hasMetrics]);
  // A metric that the server has just discovered.
  const heard = useMetrics(id);
  useEffect(() => {
    if (device && heard.some((name) => !device.metrics.some((m) => m.name === name)))
      client.invalidateQueries({ queryKey: queries.device(id).queryKey, exact: true });
  }, [heard, device, client, id]);

  const drawable = useMemo(
    () => (device?.metrics ?? []).filter((m) => m.type !== 'string').map((m) => m.name),
    [device?.metrics],
  );
  for (const m of device?.metrics ?? []) store.series(id, m.name).unit = m.unit;
  const shown = useMemo(() => {
    const kept = state.m?.filter((m) => drawable.includes(m)) ?? [];
    if (kept.length) return kept;
    const numbers = (device?.metrics ?? [])
      .filter((m) => m.type !== 'string' && m.type !== 'bool' && !isCoordinate(m.name))
      .map((m) => m.name);
    return (numbers.length ? numbers : drawable).slice(0, MOST_AT_FIRST);
  }, [state.m, drawable, device?.metrics]);
  const charted = useMemo(
    () => shown.map((name) => ({ name, color: drawable.indexOf(name) })),
    [shown, drawable],
  );
  const { span, from, to } = state;
  const view = useMemo(() => viewFromSearch({ span, from, to }), [span, from, to]);
  const lastSeen = useCallback(() => store.status(id)?.lastSeen ?? Number.NaN, [store, id]);

  const remove = useMutation({
    mutationFn: () => take(api.DELETE('/api/v1/devices/{device}', { params: { path: { device: id } } })),
    onSuccess: () => {
      patchDeviceInLists(client, id, () => null);
      toast(texts.deleteDialog.done(device?.name ?? id));
      onGone();
      client.removeQueries({ queryKey: ['devices', 'one', id] });
      client.invalidateQueries({ queryKey: ['devices', 'list'] });
    },
    onError: (error) => toast(messageOf(error), { tone: 'bad' }),
  });

  if (query.error && !device) {
    const gone = query.error instanceof ApiError && query.error.status === 404;
    return (
      <div className={classes.empty}>
        <h1>{gone ? texts.gone(id) : messageOf(query.error)}</h1>
        {gone && <p>{texts.goneHelp}</p>}
        {!gone && (
          <Button variant="default" loading={query.isFetching} onClick={() => query.refetch()}>
            {texts.retry}
          </Button>
        )}
        <Link to="/">{texts.back}</Link>
      </div>
    );
  }
  if (!device) {
    return (
      <div className={classes.empty}>
        <Waiting
          label={texts.loadingDevice(id)}
          onRetry={() => client.resetQueries({ queryKey: queries.device(id).queryKey, exact: true })}
        />
      </div>
    );
  }

  const connected = status?.connected ?? device.connected;
  return (
    <div className={classes.page}>
      <header className={classes.header}>
        <Link to="/" className={classes.back}>
          <Icon name="left" size={14} /> {texts.back}
        </Link>
        <div className={classes.title}>
          <h1>{device.name ?? device.device}</h1>
          {device.name && <code>{device.device}</code>}
        </div>
        <div className={classes.facts}>
          <StateDot state={status?.state ?? device.state} labelled />
          <span>
            <Age time={lastSeen} prefix={texts.lastSeen} />
          </span>
          {connected && (
            <span>
              <Icon name="plug" size={13} /> {texts.connected}
            </span>
          )}
          {device.profile && (
            <span>
              <Icon name="devices" size={13} /> {readable(device.profile)}
            </span>
          )}
          {device.location && (
            <span>
              <Icon name="place" size={13} />
              {device.location.place ??
                `${device.location.lat.toFixed(4)}, ${device.location.lon.toFixed(4)}`}
            </span>
          )}
          {Object.entries(device.labels).map(([key, value]) => (
            <span key={key} className={classes.label}>
              {key} <b>{value}</b>
            </span>
          ))}
        </div>
        <div className={classes.tools}>
          <Button
            variant="default"
            leftSection={<Icon name="pencil" size={14} />}
            onClick={() => show('edit')}
          >
            {texts.edit}
          </Button>
          <Menu position="bottom-end">
            <Menu.Target>
              <Tooltip label={texts.more}>
                <ActionIcon variant="default" size={30} aria-label={texts.more}>
                  <Icon name="more" size={16} />
                </ActionIcon>
              </Tooltip>
            </Menu.Target>
            <Menu.Dropdown>
              <Menu.Item color="red" leftSection={<Icon name="trash" />} onClick={() => show('delete')}>
                {texts.remove}
              </Menu.Item>
            </Menu.Dropdown>
          </Menu>
        </div>
      </header>

      {device.metrics.length === 0 ? (
        <Notice
          icon="plug"
          actions={
            <Button
              size="compact-xs"
              renderRoot={(props) => <Link to="/connect" search={{ device: id }} {...props} />}
            >
              {texts.howToConnect}
            </Button>
          }
        >
          <b>{texts.noReadings}.</b> {texts.noReadingsHelp}
        </Notice>
      ) : (
        <>
          <LatestTiles
            device={device}
            shown={shown}
            colorIndex={(m) => drawable.indexOf(m)}
            onToggle={(metric) => {
              const next = shown.includes(metric) ? shown.filter((m) => m !== metric) : [...shown, metric];
              onChange({ m: next.length ? drawable.filter((m) => next.includes(m)) : undefined });
            }}
          />
          <HistoryPanel
            device={device}
            metrics={charted}
            view={view}
            onView={(next: View) => onChange(viewToSearch(next))}
          />
        </>
      )}

      {(device.location || device.metrics.length > 0) && map?.(device)}

      <CommandsPanel device={device} />

      <section className={classes.below}>
        <Tabs
          value={state.tab ?? 'events'}
          onChange={(tab) => onChange({ tab: tab === 'events' ? undefined : (tab as DeviceState['tab']) })}
          keepMounted={false}
        >
          <Tabs.List>
            {(['events', 'refused', 'credentials'] as const).map((tab) => (
              <Tabs.Tab key={tab} value={tab}>
                {texts.tabs[tab]}
              </Tabs.Tab>
            ))}
          </Tabs.List>
          <Tabs.Panel value="events" pt="sm">
            <EventsTab device={id} />
          </Tabs.Panel>
          <Tabs.Panel value="refused" pt="sm">
            <RefusedTab device={id} />
          </Tabs.Panel>
          <Tabs.Panel value="credentials" pt="sm">
            <CredentialsTab device={id} />
          </Tabs.Panel>
        </Tabs>
      </section>

      {dialog === 'edit' && <EditDialog device={device} onClose={() => show(null)} />}
      {dialog === 'delete' && (
        <ConfirmByName
          title={texts.deleteDialog.title}
          name={device.device}
          action={texts.deleteDialog.action}
          busy={remove.isPending}
          onConfirm={() => remove.mutate()}
          onClose={() => show(null)}
        >
          <p>{texts.deleteDialog.text}</p>
        </ConfirmByName>
      )}
    </div>
  );
}
