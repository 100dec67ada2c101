import { parseDuration, toDuration } from '@/lib/time';
import type { View } from '@/lib/window';

export const DEFAULT_SPAN = 3_600_000;

/** A view as it stands in the address: `span=1h`, or `from` and `to` in ms. */
export function viewFromSearch(search: {
  span?: string | undefined;
  from?: string | undefined;
  to?: string | undefined;
}): View {
  const from = Number(search.from);
  const to = Number(search.to);
  if (search.from && search.to && Number.isFinite(from) && Number.isFinite(to) && to > from)
    return { kind: 'fixed', from, to };
  const span = search.span ? parseDuration(search.span) : null;
  return { kind: 'tail', span: span && span >= 1000 ? span : DEFAULT_SPAN };
}

export function viewToSearch(view: View): {
  span: string | undefined;
  from: string | undefined;
  to: string | undefined;
} {
  if (view.kind === 'fixed')
    return { span: undefined, from: String(Math.round(view.from)), to: String(Math.round(view.to)) };
  return {
    span: view.span === DEFAULT_SPAN ? undefined : toDuration(Math.round(view.span)),
    from: undefined,
    to: undefined,
  };
}

/** "2026-11-21 14:03:27" in the zone of the browser, in 24 hours as everywhere on the page; NaN where it is not a moment. */
export function parseLocal(text: string): number {
  const match = /^(\d{4})-(\d\d)-(\d\d)(?:[ T](\d\d?):(\d\d)(?::(\d\d))?)?$/.exec(text.trim());
  if (!match) return Number.NaN;
  const [year, month, day, hour, minute, second] = match.slice(1).map((part) => Number(part ?? 0)) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const date = new Date(year, month - 1, day, hour, minute, second);
  // A 31st of February would become a day in March.
  const same =
    date.getMonth() === month - 1 && date.getDate() === day && minute < 60 && second < 60 && hour < 24;
  return same ? date.getTime() : Number.NaN;
}
