import {
  ActionIcon,
  Button,
  Menu,
  Tooltip,
  useComputedColorScheme,
  useMantineColorScheme,
} from '@mantine/core';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { Link, Outlet, useMatchRoute, useNavigate } from '@tanstack/react-router';
import { lazy, Suspense, useEffect, useMemo, useRef, useState } from 'react';
import { ActionItems } from '@/actions/ActionMenu';
import type { ActionContext } from '@/actions/actions';
import { spellShortcut, useShortcuts } from '@/actions/shortcuts';
import { api, take } from '@/api/client';
import { queries } from '@/api/queries';
import { PasswordBanner } from '@/features/account/PasswordBanner';
import { LostBanner } from '@/features/status/LostBanner';
import { StatusBar } from '@/features/status/StatusBar';
import { useLive, useLostSince } from '@/live/live';
import { Icon, Mark } from '@/ui/icons';
import { Keys } from '@/ui/Keys';
import { LostContext } from '@/ui/lost';
import { toast } from '@/ui/toasts';
import classes from './Shell.module.css';

const Palette = lazy(() => import('@/actions/Palette').then((m) => ({ default: m.Palette })));
const ShortcutsDialog = lazy(() =>
  import('@/actions/ShortcutsDialog').then((m) => ({ default: m.ShortcutsDialog })),
);
const PasswordDialog = lazy(() =>
  import('@/features/account/PasswordDialog').then((m) => ({ default: m.PasswordDialog })),
);

export function Shell() {
  const navigate = useNavigate();
  const matches = useMatchRoute();
  const queryClient = useQueryClient();
  const live = useLive();
  const { data: me } = useQuery(queries.me());
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  const dark = useComputedColorScheme() === 'dark';
  const [shown, show] = useState<'palette' | 'password' | 'shortcuts' | null>(null);

  const context: ActionContext = useMemo(
    () => ({
      go: (to) => navigate({ to }),
      openDevice: (device) => navigate({ to: '/devices/$device', params: { device } }),
      show,
      setScheme: setColorScheme,
      scheme: colorScheme,
      dark,
      signOut: async () => {
        try {
          await take(api.POST('/api/v1/auth/logout'));
        } catch {
          toast('The server could not be told; the session is forgotten here.', { tone: 'bad' });
        }
        live.client.stop();
        await navigate({ to: '/login', search: {} });
        live.client.stop(); // a page that was still there may have asked for something meanwhile
        queryClient.clear();
      },
      queryClient,
      live,
      user: me?.user ?? null,
      mode: me?.mode ?? 'closed',
    }),
    [navigate, setColorScheme, colorScheme, dark, queryClient, live, me],
  );
  useShortcuts(context);
  const close = () => show(null);
  useEffect(() => {
    // Fetched ahead: a link must lead somewhere also while the server cannot give the page's code.
    for (const page of [
      import('./pages/OverviewRoute'),
      import('./pages/DeviceRoute'),
      import('@/features/connect/ConnectPage'),
    ])
      page.catch(() => {}); // the link itself asks again, and says so where it fails
  }, []);
  const lostSince = useLostSince();
  const wasLost = useRef(false);
  useEffect(() => {
    // Back again: what failed or waited in between is asked for anew, and so is what may have changed.
    if (wasLost.current && lostSince === null) queryClient.invalidateQueries();
    wasLost.current = lostSince !== null;
  }, [lostSince, queryClient]);

  return (
    <LostContext value={lostSince}>
      <div className={classes.shell}>
        <a href="#main" className={classes.skip}>
          Skip to the content
        </a>
        <header className={classes.header}>
          <Link to="/" className={classes.brand} aria-label="Fluxgate, overview">
            <Mark />
            <span>Fluxgate</span>
          </Link>
          <button type="button" className={classes.search} onClick={() => show('palette')}>
            <Icon name="search" size={15} />
            <span>Search</span>
            <Keys keys={spellShortcut('mod+k')} />
          </button>
          <div className={classes.tools}>
            {!matches({ to: '/connect' }) && (
              <Button
                renderRoot={(props) => <Link to="/connect" {...props} />}
                leftSection={<Icon name="plus" size={15} />}
                className={classes.connect}
                aria-label="Connect a device"
              >
                <span className={classes.connectWords}>Connect a device</span>
              </Button>
            )}
            <Tooltip label="Map">
              <ActionIcon
                size="lg"
                aria-label="Map"
                renderRoot={(props) => <Link to="/map" activeProps={{ 'data-active': true }} {...props} />}
              >
                <Icon name="place" size={17} />
              </ActionIcon>
            </Tooltip>
            <Menu position="bottom-end" width={250}>
              <Menu.Target>
                <Tooltip label="Appearance">
                  <ActionIcon aria-label="Appearance" size="lg">
                    <Icon name={dark ? 'moon' : 'sun'} size={17} />
                  </ActionIcon>
                </Tooltip>
              </Menu.Target>
              <Menu.Dropdown>
                <ActionItems group="look" context={context} />
              </Menu.Dropdown>
            </Menu>
            <Menu position="bottom-end" width={220}>
              <Menu.Target>
                <Tooltip label="Account">
                  <ActionIcon aria-label="Account" size="lg">
                    <Icon name="user" size={17} />
                  </ActionIcon>
                </Tooltip>
              </Menu.Target>
              <Menu.Dropdown>
                <Menu.Label>
                  {me?.user.username} · {me?.user.role}
                  {me?.mode === 'open' && ' · open mode'}
                </Menu.Label>
                <ActionItems group="account" context={context} />
              </Menu.Dropdown>
            </Menu>
          </div>
        </header>
        <div>
          <LostBanner />
        </div>
        <main id="main" className={classes.main} tabIndex={-1}>
          {me && !me.user.has_password && me.mode === 'closed' && (
            <PasswordBanner onSet={() => show('password')} />
          )}
          <Outlet />
        </main>
        <StatusBar />
        <Suspense fallback={null}>
          {shown === 'palette' && <Palette context={context} onClose={close} />}
          {shown === 'shortcuts' && <ShortcutsDialog context={context} onClose={close} />}
          {shown === 'password' && me && <PasswordDialog user={me.user} onClose={close} />}
        </Suspense>
      </div>
    </LostContext>
  );
}
