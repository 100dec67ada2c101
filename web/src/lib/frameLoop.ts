/** One requestAnimationFrame for everything that moves. Sleeps while nobody listens or the page is hidden. */

type Frame = (now: number) => void;
interface Entry {
  draw: Frame;
  every: number;
  due: number;
}

const entries = new Set<Entry>();
let handle = 0;

function run(now: number): void {
  handle = 0;
  for (const entry of entries) {
    // Slow listeners are spread out, so that a hundred sparklines do not share one frame.
    if (Number.isNaN(entry.due)) entry.due = now + Math.random() * entry.every;
    if (now < entry.due) continue;
    entry.due = now + entry.every;
    entry.draw(now);
  }
  wake();
}

function wake(): void {
  if (handle || entries.size === 0 || document.hidden) return;
  handle = requestAnimationFrame(run);
}

if (typeof document !== 'undefined') {
  document.addEventListener('visibilitychange', () => {
    if (document.hidden && handle) {
      cancelAnimationFrame(handle);
      handle = 0;
    }
    wake();
  });
}

/** Calls `draw` on every frame, or at most every `every` milliseconds. Returns how to stop. */
export function onFrame(draw: Frame, every = 0): () => void {
  const entry: Entry = { draw, every, due: every ? Number.NaN : 0 };
  entries.add(entry);
  wake();
  return () => {
    entries.delete(entry);
  };
}

export function isLoopRunning(): boolean {
  return handle !== 0;
}
