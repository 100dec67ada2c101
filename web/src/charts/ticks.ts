import { DAY, HOUR, MINUTE } from '@/lib/time';

/** Round moments of the browser's zone, `step` apart, within [from, to]. */
export function timeTicks(from: number, to: number, step: number): number[] {
  const ticks: number[] = [];
  if (!(step > 0) || (to - from) / step > 1000) return ticks;
  if (step <= HOUR) {
    // Zones differ by whole quarters of an hour: below that, the epoch's multiples are round everywhere.
    const offset = step > 15 * MINUTE ? new Date(from).getTimezoneOffset() * MINUTE : 0;
    for (let k = Math.ceil((from - offset) / step); k * step + offset <= to; k += 1)
      ticks.push(k * step + offset);
    return ticks;
  }
  // From midnight on, by the wall clock, which skips and repeats an hour twice a year.
  const day = new Date(from);
  day.setHours(0, 0, 0, 0);
  const hours = step < DAY ? Math.round(step / HOUR) : 24 * Math.round(step / DAY);
  if (hours > 24) {
    const skip = hours / 24;
    const number = Math.round((day.getTime() - day.getTimezoneOffset() * MINUTE) / DAY);
    day.setDate(day.getDate() - (number % skip));
  }
  for (let guard = 0; day.getTime() <= to && guard < 2000; guard += 1) {
    if (day.getTime() >= from) ticks.push(day.getTime());
    day.setHours(day.getHours() + hours);
  }
  return ticks;
}
