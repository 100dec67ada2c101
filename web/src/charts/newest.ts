import type { Ring } from '@/lib/ring';

/**
 * Writes on a chart's element, as `data-newest`, the time of the newest reading that it has drawn. A canvas cannot be asked
 * what it shows: tests and the latency benchmark read it here.
 */
export function tellNewest(host: HTMLElement, rings: Iterable<Ring | null>): void {
  let newest = Number.NEGATIVE_INFINITY;
  for (const ring of rings) if (ring && ring.length > 0 && ring.lastTime > newest) newest = ring.lastTime;
  if (newest === Number.NEGATIVE_INFINITY) return;
  const text = String(newest);
  if (host.dataset.newest !== text) host.dataset.newest = text;
}
