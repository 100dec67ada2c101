import { Button, Loader } from '@mantine/core';
import { useInfiniteQuery, useQueryClient } from '@tanstack/react-query';
import { useEffect } from 'react';
import { queries } from '@/api/queries';
import { formatMoment, parseTime } from '@/lib/time';
import { useLive } from '@/live/live';
import { Icon, type IconName } from '@/ui/icons';
import { Age } from '@/ui/Live';
import classes from './Tabs.module.css';
import { texts } from './texts';

const ICONS: Record<string, IconName> = {
  device_silent: 'alert',
  device_online: 'check',
  device_discovered: 'plug',
  metric_discovered: 'chart',
};

export function EventsTab({ device }: { device: string }) {
  const query = useInfiniteQuery(queries.events(device));
  const client = useQueryClient();
  const { client: live } = useLive();
  useEffect(() => {
    const subscription = live.subscribe(
      { events: true },
      {
        event: (event) => {
          if (event.device === device)
            client.invalidateQueries({ queryKey: queries.events(device).queryKey });
        },
      },
    );
    return () => subscription.close();
  }, [live, client, device]);

  const events = query.data?.pages.flatMap((p) => p.events) ?? [];
  if (query.isPending) return <Loader size="sm" m="md" />;
  if (events.length === 0) return <p className={classes.none}>{texts.noEvents}</p>;
  return (
    <>
      <ul className={classes.events}>
        {events.map((event) => (
          <li key={event.id} data-type={event.type}>
            <Icon name={ICONS[event.type] ?? 'info'} size={15} />
            <span>{event.message}</span>
            <time dateTime={String(event.time)} title={formatMoment(parseTime(event.time))}>
              <Age time={() => parseTime(event.time)} />
            </time>
          </li>
        ))}
      </ul>
      {query.hasNextPage && (
        <Button variant="subtle" loading={query.isFetchingNextPage} onClick={() => query.fetchNextPage()}>
          {texts.loadMore}
        </Button>
      )}
    </>
  );
}
