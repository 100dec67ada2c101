import { useEffect, useRef } from 'react';
import { clock } from '@/lib/clock';
import { onFrame } from '@/lib/frameLoop';
import { formatFully, formatValue, type Value } from '@/lib/numbers';
import { formatAge, formatMoment } from '@/lib/time';
import classes from './Live.module.css';
import { useLost } from './lost';

interface Reading {
  value: Value | null;
  time: number;
  unit: string | null;
  metric?: string;
}

/** Milliseconds between two changes of a number, so that it can be read. The first after a pause shows at once. */
const READABLE = 200;

/** A value that follows its source without rendering; grey once it is older than `staleAfter` says. */
export function LiveValue({
  source,
  staleAfter,
  size,
}: {
  source: Reading;
  staleAfter: () => number;
  size?: 'lg';
}) {
  const root = useRef<HTMLSpanElement>(null);
  const lost = useLost();
  useEffect(() => {
    // Held here, for React lets go of the ref before it runs the clean-up.
    const element = root.current!;
    const [text, unit] = element.children as unknown as [HTMLElement, HTMLElement];
    let shownText = '';
    let shownUnit = '';
    let shownValue: Value | null = null;
    let shownTime = Number.NaN;
    let shownAt = Number.NEGATIVE_INFINITY;
    const isNew = () => source.value !== shownValue || !Object.is(source.time, shownTime);
    const show = () => {
      shownValue = source.value;
      shownTime = source.time;
      const shown =
        size === 'lg'
          ? formatFully(source.value, source.unit, source.metric)
          : formatValue(source.value, source.unit);
      if (shown.text !== shownText) text.textContent = shownText = shown.text;
      if (shown.unit !== shownUnit) unit.textContent = shownUnit = shown.unit;
    };
    const age = () => {
      const stale = !(clock.now() - source.time < staleAfter());
      element.toggleAttribute('data-stale', stale || lost);
      // What was rounded in full, and beside many values there is no room for their age.
      const full = typeof source.value === 'number' ? `${source.value} ${source.unit ?? ''}`.trim() : '';
      const time = lost && !Number.isNaN(source.time) ? formatAge(clock.now() - source.time) : '';
      const title = [full, time].filter(Boolean).join(', ');
      if (title !== element.title) element.title = title;
    };
    show();
    age();
    const stopFollowing = onFrame((now) => {
      if (!isNew() || now - shownAt < READABLE) return;
      shownAt = now;
      show();
      age();
    });
    const stopAging = onFrame(() => {
      if (!isNew()) show(); // the unit may have come
      age();
    }, READABLE);
    return () => {
      stopFollowing();
      stopAging();
    };
  }, [source, staleAfter, size, lost]);
  return (
    <span ref={root} className={classes.value} data-size={size}>
      <b />
      <i />
    </span>
  );
}

/** "3 s ago", ticking. */
export function Age({ time, prefix = '' }: { time: () => number; prefix?: string }) {
  const root = useRef<HTMLSpanElement>(null);
  useEffect(() => {
    const element = root.current!;
    let shown = '';
    const draw = () => {
      const at = time();
      const text = prefix + formatAge(clock.now() - at);
      if (text === shown) return;
      shown = text;
      element.textContent = text;
      element.title = Number.isNaN(at) ? '' : formatMoment(at);
    };
    draw();
    return onFrame(draw, 250);
  }, [time, prefix]);
  return <span ref={root} className={classes.age} />;
}
