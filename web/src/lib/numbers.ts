export type Value = number | boolean | string;

const cache = new Map<string, Intl.NumberFormat>();

function format(minimum: number, maximum: number): Intl.NumberFormat {
  const key = `${minimum}:${maximum}`;
  let found = cache.get(key);
  if (!found) {
    found = new Intl.NumberFormat('en-US', {
      minimumFractionDigits: minimum,
      maximumFractionDigits: maximum,
    });
    cache.set(key, found);
  }
  return found;
}

/** How many digits after the point keep about four significant ones. */
export function digitsFor(magnitude: number): number {
  const size = Math.abs(magnitude);
  if (size >= 1000) return 0;
  if (size >= 100) return 1;
  if (size >= 1) return 2;
  if (size >= 0.1) return 3;
  return 4;
}

const BYTE_UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];
const isBytes = (unit: string | null | undefined) => unit === 'B' || unit === 'B/s' || unit === 'bytes';

export interface Shown {
  text: string;
  unit: string;
}

/** Is this a place on the globe? A tenth of a degree is eleven kilometres, so it is shown to a metre. */
export function isCoordinate(metric: string): boolean {
  return /(^|_)(lat|latitude|lon|lng|longitude)$/i.test(metric);
}

/** Where there is room for one value: up to six significant digits, and places to a metre. */
export function formatFully(value: Value | null | undefined, unit?: string | null, metric = ''): Shown {
  if (typeof value !== 'number' || !Number.isFinite(value) || isBytes(unit)) return formatValue(value, unit);
  if (isCoordinate(metric)) return { text: format(5, 5).format(value), unit: unit ?? '' };
  const size = Math.abs(value);
  if (Number.isInteger(value) || size >= 1e9 || size < 1e-4) return formatValue(value, unit);
  const digits = Math.max(0, 5 - Math.floor(Math.log10(size)));
  return { text: format(0, Math.min(9, digits)).format(value), unit: unit ?? '' };
}

/** Bytes climb to kB, MB, …; very large and very small numbers go to powers of ten; all else keeps its unit. */
export function formatValue(value: Value | null | undefined, unit?: string | null): Shown {
  if (value === null || value === undefined) return { text: '–', unit: '' };
  if (typeof value === 'boolean') return { text: value ? 'on' : 'off', unit: unit ?? '' };
  if (typeof value === 'string') return { text: value, unit: unit ?? '' };
  if (!Number.isFinite(value)) return { text: String(value), unit: unit ?? '' };
  if (isBytes(unit)) {
    const shown = formatBytes(value);
    return unit === 'B/s' ? { text: shown.text, unit: `${shown.unit}/s` } : shown;
  }
  const size = Math.abs(value);
  if (size !== 0 && (size >= 1e9 || size < 1e-4)) return { text: value.toExponential(2), unit: unit ?? '' };
  if (Number.isInteger(value) && size < 1e9) return { text: format(0, 0).format(value), unit: unit ?? '' };
  const digits = digitsFor(value);
  return { text: format(Math.min(digits, 1), digits).format(value), unit: unit ?? '' };
}

/** Numbers that stand beside each other, in one unit: that of the greatest. */
export function formatTogether(values: number[], unit?: string | null): { texts: string[]; unit: string } {
  const greatest = Math.max(...values.map(Math.abs));
  const numbers = isBytes(unit) && Number.isFinite(greatest);
  if (!numbers) return { texts: values.map((v) => formatValue(v, unit).text), unit: unit ?? '' };
  const step = stepOfBytes(greatest);
  const name = BYTE_UNITS[step]!;
  // Three digits of the greatest are enough for all.
  const size = greatest / 1000 ** step;
  const digits = step === 0 ? 0 : size >= 100 ? 0 : size >= 10 ? 1 : 2;
  return {
    texts: values.map((v) => format(0, digits).format(v / 1000 ** step)),
    unit: unit === 'B/s' ? `${name}/s` : name,
  };
}

function stepOfBytes(value: number): number {
  let step = 0;
  while (Math.abs(value) / 1000 ** step >= 1000 && step < BYTE_UNITS.length - 1) step += 1;
  return step;
}

export function formatBytes(value: number): Shown {
  const step = stepOfBytes(value);
  const rest = Math.abs(value) / 1000 ** step;
  const digits = step === 0 || rest >= 100 ? 0 : 1;
  return { text: format(digits, digits).format(value < 0 ? -rest : rest), unit: BYTE_UNITS[step]! };
}

export function formatCount(value: number): string {
  return format(0, 0).format(value);
}

/** 1,234 → 1,234 · 12,345 → 12.3K · 1,234,567 → 1.23M */
export function formatCompact(value: number): string {
  if (Math.abs(value) < 10_000)
    return format(0, value < 10 && !Number.isInteger(value) ? 1 : 0).format(value);
  return new Intl.NumberFormat('en-US', { notation: 'compact', maximumSignificantDigits: 3 }).format(value);
}

/** Least digits after the point that tell neighbours `step` apart. */
function digitsOfStep(step: number): number {
  if (!(step > 0)) return 2;
  let digits = 0;
  while (
    digits < 6 &&
    Math.abs(step * 10 ** digits - Math.round(step * 10 ** digits)) > 1e-6 * 10 ** digits * step
  )
    digits += 1;
  return digits;
}

/** A label for a tick of an axis whose ticks are `step` apart. */
export function formatTickValue(value: number, step: number, unit?: string | null): string {
  if (isBytes(unit)) {
    const power =
      value === 0
        ? 0
        : Math.min(BYTE_UNITS.length - 1, Math.max(0, Math.floor(Math.log10(Math.abs(value)) / 3)));
    const digits = digitsOfStep(step / 1000 ** power);
    return `${format(0, digits).format(value / 1000 ** power)} ${BYTE_UNITS[power]}`;
  }
  if (Math.abs(value) >= 1e5) return formatCompact(value);
  const digits = digitsOfStep(step);
  return format(digits, digits).format(value);
}

/** A number for a chart: booleans become 0 and 1, words have no place there. */
export function toNumber(value: Value | null | undefined): number {
  if (typeof value === 'number') return value;
  if (typeof value === 'boolean') return value ? 1 : 0;
  return Number.NaN;
}

/** `engine_temperature` → "engine temperature"; `pm2_5` keeps its underscore. */
export function readable(name: string): string {
  return name.replace(/(?<=\p{L})_(?=\p{L})/gu, ' ');
}
