import { useNavigate, useParams, useSearch } from '@tanstack/react-router';
import { lazy, Suspense } from 'react';
import { DevicePage } from '@/features/device/DevicePage';

const DeviceMap = lazy(() => import('@/features/map/DeviceMap').then((m) => ({ default: m.DeviceMap })));

export function DeviceRoute() {
  const { device } = useParams({ from: '/inside/devices/$device' });
  const search = useSearch({ from: '/inside/devices/$device' });
  const navigate = useNavigate();
  return (
    <DevicePage
      key={device}
      id={device}
      state={search}
      map={(shown) => (
        <Suspense fallback={null}>
          <DeviceMap device={shown} />
        </Suspense>
      )}
      onChange={(change) =>
        navigate({
          to: '/devices/$device',
          params: { device },
          search: (old) => ({ ...old, ...change }),
          replace: true,
        })
      }
      onGone={() => navigate({ to: '/', search: {}, replace: true })}
    />
  );
}
