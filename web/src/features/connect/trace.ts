import type { TraceEvent } from '@/live/protocol';

/** How far a device has come: the stage it last passed, the reason where it was refused. */
export interface Progress {
  passed: Set<TraceEvent['stage']>;
  refusal: TraceEvent | null;
  readings: number;
}

export function progressOf(events: TraceEvent[]): Progress {
  const progress: Progress = { passed: new Set(), refusal: null, readings: 0 };
  for (const event of events) {
    if (event.ok) {
      // Whose reading arrived was connected and let in, whether the server told of it or not.
      if (event.stage !== 'connect') progress.passed.add('connect');
      if (event.stage !== 'connect' && event.stage !== 'auth') progress.passed.add('auth');
      progress.passed.add(event.stage);
      if (event.stage === 'reading') {
        progress.readings += 1;
        progress.refusal = null; // mended
      }
    } else if (!(event.detail?.unnamed && progress.readings > 0)) {
      // What named no device was hardly this one, once its readings come.
      progress.refusal = event;
    }
  }
  return progress;
}

/** A name nobody has: "my-device", then "my-device-2", … */
export function suggestName(taken: (name: string) => boolean, base = 'my-device'): string {
  if (!taken(base)) return base;
  for (let n = 2; ; n += 1) if (!taken(`${base}-${n}`)) return `${base}-${n}`;
}

export function isDeviceId(text: string): boolean {
  const bytes = new TextEncoder().encode(text);
  return (
    bytes.length > 0 &&
    bytes.length <= 128 &&
    !/[/+#]/.test(text) &&
    bytes.every((b) => b >= 0x20 && b !== 0x7f)
  );
}
