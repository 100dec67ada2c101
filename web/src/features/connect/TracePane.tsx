import { Button, Group, Loader } from '@mantine/core';
import { Link } from '@tanstack/react-router';
import { useEffect, useState, useSyncExternalStore } from 'react';
import { Sparkline } from '@/charts/Sparkline';
import { readable } from '@/lib/numbers';
import { formatClock, parseTime } from '@/lib/time';
import { gapOf } from '@/live/LiveStore';
import { useLive, useWatch } from '@/live/live';
import type { TraceEvent } from '@/live/protocol';
import { Icon } from '@/ui/icons';
import { LiveValue } from '@/ui/Live';
import { Notice } from '@/ui/Notice';
import { ScrollBox } from '@/ui/ScrollBox';
import classes from './TracePane.module.css';
import { texts } from './texts';
import { progressOf } from './trace';

const MOST_EVENTS = 60;
const STEPS = ['connect', 'auth', 'reading'] as const;

export function TracePane({
  device,
  since,
  onAnother,
}: {
  device: string;
  /** When the device came to be (ms): what failed before, and named none, was not this one. */
  since: number;
  onAnother: () => void;
}) {
  const { client, store } = useLive();
  const [events, setEvents] = useState<TraceEvent[]>([]);
  const status = useSyncExternalStore(client.onStatus, () => client.status);
  useWatch({ devices: [device], interval: '50ms' });
  useEffect(() => {
    setEvents([]);
    const subscription = client.subscribe(
      { trace: device },
      {
        trace: (event) => {
          if (parseTime(event.time) < since) return;
          setEvents((old) => [...old.slice(-MOST_EVENTS + 1), event]);
        },
      },
    );
    return () => subscription.close();
  }, [client, device, since]);

  const { passed, refusal, readings } = progressOf(events);
  const metrics = readings ? store.metricsOf(device) : [];
  return (
    <div className={classes.root}>
      <ol className={classes.steps}>
        {STEPS.map((stage) => {
          const failed =
            refusal &&
            (refusal.stage === stage ||
              (stage === 'reading' && !['connect', 'auth'].includes(refusal.stage)));
          const state = failed ? 'bad' : passed.has(stage) ? 'good' : 'open';
          return (
            <li key={stage} data-state={state}>
              <span className={classes.mark}>
                {state === 'good' && <Icon name="check" size={13} />}
                {state === 'bad' && <Icon name="close" size={13} />}
              </span>
              {texts.stages[stage]}
            </li>
          );
        })}
      </ol>
      {status.kind !== 'open' && (
        <Notice tone="warn" icon="alert">
          {texts.offline}
        </Notice>
      )}
      {refusal && (
        <Notice tone="bad" icon="alert">
          <b>
            {texts.refused}: {texts.stages[refusal.stage] ?? refusal.stage}.
          </b>{' '}
          {refusal.message}
          {typeof refusal.detail?.hint === 'string' && <> {refusal.detail.hint}</>}
        </Notice>
      )}
      {readings > 0 && (
        <div className={classes.done}>
          <div className={classes.values}>
            {metrics.map((metric) => {
              const series = store.series(device, metric);
              return (
                <div key={metric}>
                  <small>{readable(metric)}</small>
                  <LiveValue source={series} staleAfter={() => Number.POSITIVE_INFINITY} size="lg" />
                  <Sparkline source={series} gap={gapOf as never} span={60_000} width={130} height={30} />
                </div>
              );
            })}
          </div>
          <p>
            <b>{texts.done}</b> {texts.doneHelp(readings)}
          </p>
          <Group gap="xs">
            <Button
              renderRoot={(props) => (
                <Link to="/devices/$device" params={{ device }} search={{ span: '5m' }} {...props} />
              )}
            >
              {texts.open}
            </Button>
            <Button variant="default" onClick={onAnother}>
              {texts.another}
            </Button>
          </Group>
        </div>
      )}
      {events.length === 0 ? (
        <p className={classes.waiting}>
          <Loader size={14} type="dots" /> {texts.waiting(device)}
          <small>{texts.watching}</small>
        </p>
      ) : (
        <ScrollBox label={texts.log} maxHeight={260}>
          <ol className={classes.log} aria-live="polite" aria-relevant="additions">
            {events.toReversed().map((event, i) => (
              <li key={`${event.time}-${events.length - i}`} data-ok={event.ok}>
                <time>{formatClock(parseTime(event.time), true)}</time>
                <span className={classes.stage}>{texts.stages[event.stage] ?? event.stage}</span>
                <span className={classes.message}>
                  {event.message}
                  {event.stage === 'connect' && event.peer && (
                    <small>
                      {' '}
                      {event.protocol?.toUpperCase()} from {event.peer}
                    </small>
                  )}
                </span>
              </li>
            ))}
          </ol>
        </ScrollBox>
      )}
    </div>
  );
}
