import { useNavigate, useSearch } from '@tanstack/react-router';
import { DemoBanner } from '@/features/demo/DemoBanner';
import { FirstSteps } from '@/features/demo/FirstSteps';
import { OverviewPage } from '@/features/overview/OverviewPage';

export function OverviewRoute() {
  const search = useSearch({ from: '/inside/' });
  const navigate = useNavigate({ from: '/' });
  return (
    <OverviewPage
      state={search}
      onChange={(change) => navigate({ search: (old) => ({ ...old, ...change }), replace: true })}
      banner={<DemoBanner />}
      invitation={<FirstSteps />}
    />
  );
}
