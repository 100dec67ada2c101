import { useNavigate, useSearch } from '@tanstack/react-router';
import { MapPage } from '@/features/map/MapPage';

export function MapRoute() {
  const { device } = useSearch({ from: '/inside/map' });
  const navigate = useNavigate({ from: '/map' });
  return (
    <MapPage
      selected={device ?? null}
      onSelect={(next) => navigate({ search: { device: next ?? undefined }, replace: true })}
    />
  );
}
