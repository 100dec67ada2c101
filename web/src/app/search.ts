import * as z from 'zod/mini';

/** Plain `a=1&b=x&b=y`, so that an address can be read and typed. */
export function parseSearch(text: string): Record<string, string | string[]> {
  const found: Record<string, string | string[]> = {};
  for (const [key, value] of new URLSearchParams(text)) {
    const known = found[key];
    if (known === undefined) found[key] = value;
    else found[key] = [...(Array.isArray(known) ? known : [known]), value];
  }
  return found;
}

export function stringifySearch(search: Record<string, unknown>): string {
  const params = new URLSearchParams();
  for (const [key, value] of Object.entries(search)) {
    if (value === undefined || value === null || value === '') continue;
    for (const item of Array.isArray(value) ? value : [value]) params.append(key, String(item));
  }
  const text = params.toString();
  return text ? `?${text}` : '';
}

const one = z.pipe(
  z.union([z.string(), z.array(z.string())]),
  z.transform((v) => (Array.isArray(v) ? v[0] : v)),
);
const many = z.pipe(
  z.union([z.string(), z.array(z.string())]),
  z.transform((v) => (Array.isArray(v) ? v : [v])),
);
const word = z.catch(z.optional(one), undefined);
const words = z.catch(z.optional(many), undefined);
const oneOf = <const T extends readonly [string, ...string[]]>(list: T) =>
  z.catch(z.optional(z.enum(list)), undefined);

/** What the overview shows is in its address: it can be sent to somebody. Anything odd is dropped. */
export const overviewSearch = z.object({
  q: word,
  state: oneOf(['online', 'silent', 'never']),
  profile: word,
  label: words,
  sort: oneOf(['name', 'last_seen', 'state']),
  on: words,
  m: words,
  span: oneOf(['30s', '1m', '5m', '15m']),
});
export type OverviewSearch = z.infer<typeof overviewSearch>;

export const deviceSearch = z.object({
  tab: oneOf(['history', 'events', 'refused', 'credentials']),
  span: word,
  from: word,
  to: word,
  m: words,
});
export type DeviceSearch = z.infer<typeof deviceSearch>;

export const mapSearch = z.object({ device: word });
export const loginSearch = z.object({ next: word });
export const connectSearch = z.object({ device: word });
