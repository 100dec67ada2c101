import { Button } from '@mantine/core';
import { useEffect, useReducer, useSyncExternalStore } from 'react';
import { clock } from '@/lib/clock';
import { formatClock, formatSpan } from '@/lib/time';
import { useLive, useLostSince } from '@/live/live';
import { Notice } from '@/ui/Notice';
import classes from './LostBanner.module.css';
import { texts } from './texts';

/** Across every page while the server is not heard: since when, and when it is tried again. */
export function LostBanner() {
  const { client } = useLive();
  const since = useLostSince();
  const status = useSyncExternalStore(client.onStatus, () => client.status);
  const [, tick] = useReducer((n: number) => n + 1, 0);
  useEffect(() => {
    if (since === null) return;
    const timer = setInterval(tick, 500);
    return () => clearInterval(timer);
  }, [since]);
  if (since === null) return null;
  const left = status.kind === 'waiting' ? Math.ceil((status.until - clock.steadyNow()) / 1000) : 0;
  return (
    <div className={classes.root}>
      <Notice
        tone="bad"
        icon="alert"
        actions={
          <Button size="compact-xs" disabled={status.kind !== 'waiting'} onClick={() => client.reconnect()}>
            {texts.tryNow}
          </Button>
        }
      >
        <b>{texts.lost}</b> {texts.lostSince(formatClock(since))}
        {/* The seconds are for the eye; an alert that counts would be read aloud twice a second. */}
        <span aria-hidden="true">
          {' '}
          ({formatSpan(clock.now() - since)}). {texts.trying(left)}
        </span>
      </Notice>
    </div>
  );
}
