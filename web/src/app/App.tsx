import { MantineProvider } from '@mantine/core';
import { QueryClient, QueryClientProvider } from '@tanstack/react-query';
import { RouterProvider } from '@tanstack/react-router';
import { ApiError, onUnauthenticated } from '@/api/client';
import { createLive, LiveContext } from '@/live/live';
import { ToastShelf } from '@/ui/toasts';
import { makeRouter } from './router';
import { schemeManager, theme, variables } from './theme';

const queryClient = new QueryClient({
  defaultOptions: {
    queries: {
      retry: (count, error) =>
        count < 2 && !(error instanceof ApiError && error.status >= 400 && error.status < 500),
      refetchOnWindowFocus: true,
    },
  },
});

const live = createLive(() => signedOut());
const router = makeRouter({ queryClient, live });

/** The session ended behind our back: to the log-in page, and back to where we were. */
function signedOut(): void {
  const { pathname, href } = router.state.location;
  if (pathname === '/login' || pathname === '/welcome') return;
  live.client.stop();
  queryClient.clear();
  router.navigate({ to: '/login', search: { next: href }, replace: true });
}
onUnauthenticated(signedOut);

export function App() {
  return (
    <MantineProvider
      theme={theme}
      cssVariablesResolver={variables}
      colorSchemeManager={schemeManager()}
      defaultColorScheme="auto"
    >
      <QueryClientProvider client={queryClient}>
        <LiveContext value={live}>
          <RouterProvider router={router} />
          <ToastShelf />
        </LiveContext>
      </QueryClientProvider>
    </MantineProvider>
  );
}
