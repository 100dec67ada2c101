import type { QueryClient } from '@tanstack/react-query';
import {
  createRootRouteWithContext,
  createRoute,
  createRouter,
  lazyRouteComponent,
  Outlet,
  type RouterHistory,
  redirect,
} from '@tanstack/react-router';
import { ApiError } from '@/api/client';
import { queries } from '@/api/queries';
import type { Live } from '@/live/live';
import { ErrorPage, NotFoundPage } from './ErrorPage';
import { Shell } from './Shell';
import {
  connectSearch,
  deviceSearch,
  loginSearch,
  mapSearch,
  overviewSearch,
  parseSearch,
  stringifySearch,
} from './search';

interface Context {
  queryClient: QueryClient;
  live: Live;
}

const root = createRootRouteWithContext<Context>()({
  component: Outlet,
  errorComponent: ErrorPage,
  notFoundComponent: NotFoundPage,
});

const welcome = createRoute({
  getParentRoute: () => root,
  path: '/welcome',
  component: lazyRouteComponent(() => import('@/features/welcome/WelcomePage'), 'WelcomePage'),
});

const login = createRoute({
  getParentRoute: () => root,
  path: '/login',
  validateSearch: loginSearch,
  component: lazyRouteComponent(() => import('@/features/login/LoginPage'), 'LoginPage'),
});

/** Everything behind the log-in. */
const inside = createRoute({
  getParentRoute: () => root,
  id: 'inside',
  beforeLoad: async ({ context, location }) => {
    try {
      await context.queryClient.ensureQueryData(queries.me());
      context.live.client.resume();
    } catch (error) {
      if (error instanceof ApiError && error.status === 401)
        throw redirect({ to: '/login', search: { next: location.href } });
      throw error;
    }
  },
  component: Shell,
});

const overview = createRoute({
  getParentRoute: () => inside,
  path: '/',
  validateSearch: overviewSearch,
  component: lazyRouteComponent(() => import('./pages/OverviewRoute'), 'OverviewRoute'),
});

const device = createRoute({
  getParentRoute: () => inside,
  path: '/devices/$device',
  validateSearch: deviceSearch,
  component: lazyRouteComponent(() => import('./pages/DeviceRoute'), 'DeviceRoute'),
});

const map = createRoute({
  getParentRoute: () => inside,
  path: '/map',
  validateSearch: mapSearch,
  component: lazyRouteComponent(() => import('./pages/MapRoute'), 'MapRoute'),
});

const connect = createRoute({
  getParentRoute: () => inside,
  path: '/connect',
  validateSearch: connectSearch,
  component: lazyRouteComponent(() => import('@/features/connect/ConnectPage'), 'ConnectPage'),
});

/** An address that names nothing, in the frame of the app: its search and its links lead on. */
const nothing = createRoute({ getParentRoute: () => inside, path: '$', component: NotFoundPage });

const tree = root.addChildren([
  welcome,
  login,
  inside.addChildren([overview, device, map, connect, nothing]),
]);

export function makeRouter(context: Context, history?: RouterHistory) {
  return createRouter({
    ...(history ? { history } : {}),
    routeTree: tree,
    context,
    parseSearch,
    stringifySearch,
    defaultPreload: 'intent',
    defaultPreloadStaleTime: 0,
    scrollRestoration: false,
    defaultErrorComponent: ErrorPage,
    defaultNotFoundComponent: NotFoundPage,
  });
}

declare module '@tanstack/react-router' {
  interface Register {
    router: ReturnType<typeof makeRouter>;
  }
}
