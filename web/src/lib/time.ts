/** Times inside the app are milliseconds since 1970, UTC, as numbers (fractions allowed); durations too. */

export const SECOND = 1000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

/** RFC 3339 with up to nine digits of a second, or an integer of milliseconds. NaN where it is neither. */
export function parseTime(value: string | number | null | undefined): number {
  if (typeof value === 'number') return value;
  if (!value) return Number.NaN;
  const dot = value.indexOf('.');
  if (dot < 0) return Date.parse(value);
  // Date.parse keeps three digits; the rest is added as a fraction of a millisecond.
  let end = dot + 1;
  while (end < value.length && value.charCodeAt(end) >= 48 && value.charCodeAt(end) <= 57) end += 1;
  const whole = Date.parse(value.slice(0, dot) + value.slice(end));
  const digits = value.slice(dot + 1, end);
  return digits ? whole + Number(`0.${digits}`) * 1000 : whole;
}

export function toRfc3339(ms: number): string {
  return new Date(ms).toISOString();
}

/** "now", "3 s ago", "4 min ago", "2 h ago", "5 d ago": one unit, so that it ticks calmly. */
export function formatAge(ms: number): string {
  if (!Number.isFinite(ms)) return 'never';
  if (ms < -2 * SECOND) return `in ${formatSpan(-ms)}`;
  if (ms < SECOND) return 'now';
  return `${formatSpan(ms)} ago`;
}

/** A span in its largest fitting unit, cut off rather than rounded: 119 s is "1 min". */
export function formatSpan(ms: number): string {
  if (ms < SECOND) return `${Math.max(0, Math.round(ms))} ms`;
  if (ms < MINUTE) return `${Math.floor(ms / SECOND)} s`;
  if (ms < HOUR) return `${Math.floor(ms / MINUTE)} min`;
  if (ms < DAY) return `${Math.floor(ms / HOUR)} h`;
  return `${Math.floor(ms / DAY)} d`;
}

/** How long `formatAge(age)` stays as it is. */
export function ageHoldsFor(ms: number): number {
  const age = Math.max(0, ms);
  const unit = age < MINUTE ? SECOND : age < HOUR ? MINUTE : age < DAY ? HOUR : DAY;
  return unit - (age % unit);
}

const UNITS: Record<string, number> = {
  ns: 1e-6,
  us: 1e-3,
  ms: 1,
  s: SECOND,
  m: MINUTE,
  h: HOUR,
  d: DAY,
  w: 7 * DAY,
};

/** "5m", "100ms", "1.5h" to milliseconds; null where it is not a duration. */
export function parseDuration(text: string): number | null {
  const match = /^(\d+(?:\.\d+)?)(ns|us|ms|s|m|h|d|w)$/.exec(text.trim());
  return match ? Number(match[1]) * UNITS[match[2]!]! : null;
}

/** The API's spelling of a duration in whole milliseconds, in its largest exact unit. */
export function toDuration(ms: number): string {
  for (const unit of ['d', 'h', 'm', 's'] as const) {
    if (ms >= UNITS[unit]! && ms % UNITS[unit]! === 0) return `${ms / UNITS[unit]!}${unit}`;
  }
  return `${Math.round(ms)}ms`;
}

const clockFormat = new Intl.DateTimeFormat('en-GB', {
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
});
const dateFormat = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short', year: 'numeric' });
const dayFormat = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short' });

/** 14:03:27, in the zone of the browser. */
export function formatClock(ms: number, fraction = false): string {
  const text = clockFormat.format(ms);
  return fraction ? `${text}.${String(Math.floor(ms % 1000)).padStart(3, '0')}` : text;
}

export function formatDate(ms: number): string {
  return dateFormat.format(ms);
}

/** 21 Nov 2026, 14:03:27 */
export function formatMoment(ms: number): string {
  return `${dateFormat.format(ms)}, ${clockFormat.format(ms)}`;
}

/** The short form for an axis whose ticks are `step` apart. */
export function formatTick(ms: number, step: number): string {
  const date = new Date(ms);
  const midnight = date.getHours() === 0 && date.getMinutes() === 0 && date.getSeconds() === 0;
  if (step >= DAY || (midnight && step >= MINUTE)) return dayFormat.format(ms);
  if (step < SECOND) return formatClock(ms, true);
  return step < MINUTE ? clockFormat.format(ms) : clockFormat.format(ms).slice(0, 5);
}
