import { formatTogether, formatValue } from '@/lib/numbers';
import { formatClock, formatMoment } from '@/lib/time';

export interface ReadoutRow {
  color: string;
  label: string;
  value: number;
  unit: string | null;
  /** For a window: its least and greatest. */
  low?: number;
  high?: number;
}

const MOST = 8;

/** The mean and, of a window, its least and greatest: all in one unit, or they could not be compared. */
export function readoutValue({ value, unit, low, high }: ReadoutRow): string {
  const withUnit = (text: string, of: string) => (of ? `${text} ${of}` : text);
  if (low === undefined || high === undefined || !(high > low)) {
    const shown = formatValue(value, unit);
    return withUnit(shown.text, shown.unit);
  }
  const { texts, unit: shared } = formatTogether([value, low, high], unit);
  return `${withUnit(texts[0]!, shared)}  (${withUnit(`${texts[1]} – ${texts[2]}`, shared)})`;
}

/** The little table beside the crosshair. Plain DOM, for it changes with every movement of the pointer. */
export class Readout {
  private readonly box: HTMLElement;

  constructor(private readonly host: HTMLElement) {
    this.box = document.createElement('div');
    this.box.className = 'chart-readout';
    this.box.setAttribute('aria-hidden', 'true');
    host.append(this.box);
  }

  show(x: number, y: number, time: number, rows: ReadoutRow[], withDate: boolean): void {
    const { box } = this;
    box.replaceChildren();
    const heading = document.createElement('time');
    heading.textContent = withDate ? formatMoment(time) : formatClock(time, true);
    box.append(heading);
    for (const row of rows.slice(0, MOST)) {
      const line = document.createElement('div');
      const swatch = document.createElement('i');
      swatch.style.background = row.color;
      const label = document.createElement('span');
      label.textContent = row.label;
      const value = document.createElement('b');
      value.textContent = readoutValue(row);
      line.append(swatch, label, value);
      box.append(line);
    }
    if (rows.length > MOST) {
      const more = document.createElement('div');
      more.textContent = `and ${rows.length - MOST} more`;
      box.append(more);
    }
    const width = box.offsetWidth;
    const room = this.host.clientWidth;
    const left = x + 14 + width > room ? x - 14 - width : x + 14;
    box.style.transform = `translate(${Math.max(0, left)}px, ${Math.max(0, y)}px)`;
    box.style.visibility = 'visible';
  }

  hide(): void {
    this.box.style.visibility = 'hidden';
  }

  destroy(): void {
    this.box.remove();
  }
}
