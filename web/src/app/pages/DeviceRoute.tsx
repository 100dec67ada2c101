import { useNavigate, useParams, useSearch } from '@tanstack/react-router';
import { DevicePage } from '@/features/device/DevicePage';

export function DeviceRoute() {
  const { device } = useParams({ from: '/inside/devices/$device' });
  const search = useSearch({ from: '/inside/devices/$device' });
  const navigate = useNavigate();
  return (
    <DevicePage
      key={device}
      id={device}
      state={search}
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
