import { useQuery } from '@tanstack/react-query';
import { useEffect, useReducer, useSyncExternalStore } from 'react';
import { queries } from '@/api/queries';
import { clock } from '@/lib/clock';
import { formatBytes, formatCompact, formatCount } from '@/lib/numbers';
import { formatSpan } from '@/lib/time';
import { useLive, useLostSince } from '@/live/live';
import classes from './StatusBar.module.css';
import { texts } from './texts';

function LiveState() {
  const { client } = useLive();
  const status = useSyncExternalStore(client.onStatus, () => client.status);
  const [, tick] = useReducer((n: number) => n + 1, 0);
  const waiting = status.kind === 'waiting';
  useEffect(() => {
    if (!waiting) return;
    const timer = setInterval(tick, 500);
    return () => clearInterval(timer);
  }, [waiting]);

  const words = {
    idle: texts.idle,
    connecting: texts.connecting,
    ended: texts.ended,
    open: texts.live,
    waiting: waiting ? texts.waiting(Math.max(0, Math.ceil((status.until - clock.steadyNow()) / 1000))) : '',
  }[status.kind];
  return (
    <span className={classes.live} data-kind={status.kind}>
      <i aria-hidden="true" />
      {/* The countdown is for the eye; the change itself is announced. */}
      <span aria-hidden={waiting}>{words}</span>
      <span className="visually-hidden" role="status">
        {waiting ? texts.waiting(0) : words}
      </span>
      {status.kind === 'open' && status.roundTrip !== null && (
        <span className={classes.quiet}>{Math.max(1, Math.round(status.roundTrip))} ms</span>
      )}
      {waiting && (
        <button type="button" className={classes.retry} onClick={() => client.reconnect()}>
          {texts.retry}
        </button>
      )}
    </span>
  );
}

export function StatusBar() {
  const { data: system, isError } = useQuery(queries.system());
  // Rates and counts from before would pass for those of now.
  const known = useLostSince() === null && !isError ? system : undefined;
  const bytes = system ? formatBytes(system.storage.log_bytes + system.storage.series_bytes) : null;
  const free = system ? formatBytes(system.storage.free_bytes) : null;
  return (
    <footer className={classes.bar}>
      <LiveState />
      {known && (
        <>
          <span>
            <b>{formatCompact(known.readings_per_s)}</b> {texts.readings}
          </span>
          <span className={classes.wide}>
            <b>{formatCount(known.devices)}</b> {texts.devices}
          </span>
          <span className={classes.wide}>
            <b>
              {bytes?.text} {bytes?.unit}
            </b>{' '}
            {texts.stored}, {free?.text} {free?.unit} {texts.free}
          </span>
        </>
      )}
      <span className={classes.end}>
        {isError ? (
          texts.unknown
        ) : system ? (
          <>
            {known && `${texts.up} ${formatSpan(known.uptime_s * 1000)} `}
            <span className={classes.version}>v{system.version}</span>
          </>
        ) : null}
      </span>
    </footer>
  );
}
