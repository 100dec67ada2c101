import { Button, Loader } from '@mantine/core';
import { useInfiniteQuery } from '@tanstack/react-query';
import { queries } from '@/api/queries';
import { formatFully, readable } from '@/lib/numbers';
import { formatMoment, parseTime } from '@/lib/time';
import { ScrollBox } from '@/ui/ScrollBox';
import classes from './Tabs.module.css';
import { texts } from './texts';

export function RefusedTab({ device }: { device: string }) {
  const query = useInfiniteQuery({ ...queries.deadLetters(device), refetchInterval: 15_000 });
  const letters = query.data?.pages.flatMap((p) => p.dead_letters) ?? [];
  if (query.isPending) return <Loader size="sm" m="md" />;
  if (letters.length === 0) return <p className={classes.none}>{texts.noRefused}</p>;
  return (
    <>
      <p className={classes.help}>{texts.refusedHelp}</p>
      <ScrollBox label={texts.tabs.refused}>
        <table className={classes.table}>
          <thead>
            <tr>
              <th scope="col">{texts.columns.arrived}</th>
              <th scope="col">{texts.columns.readingTime}</th>
              <th scope="col">{texts.columns.metric}</th>
              <th scope="col" data-number>
                {texts.columns.value}
              </th>
              <th scope="col">{texts.columns.reason}</th>
            </tr>
          </thead>
          <tbody>
            {letters.map((letter) => (
              <tr key={letter.id}>
                <td className={classes.time}>{formatMoment(parseTime(letter.received_at))}</td>
                <td className={classes.time}>{letter.time ? formatMoment(parseTime(letter.time)) : '–'}</td>
                <td>{letter.metric ? readable(letter.metric) : '–'}</td>
                <td data-number>{formatFully(letter.value).text}</td>
                <td>
                  <span className={classes.reason}>{readable(letter.reason)}</span> {letter.message}
                  {letter.topic !== undefined && (
                    <small className={classes.sent}>
                      {texts.sentTo(letter.topic, letter.client ?? '')} <code>{letter.payload}</code>
                      {letter.payload?.endsWith('…') && ` (${texts.bytes(letter.payload_bytes ?? 0)})`}
                    </small>
                  )}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </ScrollBox>
      {query.hasNextPage && (
        <Button variant="subtle" loading={query.isFetchingNextPage} onClick={() => query.fetchNextPage()}>
          {texts.loadMore}
        </Button>
      )}
    </>
  );
}
