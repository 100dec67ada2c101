import { render } from '@testing-library/react';
import { beforeEach, expect, it, vi } from 'vitest';
import { LiveValue } from './Live';

vi.mock('./lost', () => ({ useLost: () => false }));

let frames: FrameRequestCallback[] = [];
let now = 0;
/** Frames of a screen with 60 Hz, for so many milliseconds. */
function pass(milliseconds: number) {
  for (const end = now + milliseconds; now < end; ) {
    now += 1000 / 60;
    const due = frames;
    frames = [];
    for (const callback of due) callback(now);
  }
}
beforeEach(() => {
  frames = [];
  now = performance.now();
  vi.stubGlobal('requestAnimationFrame', (callback: FrameRequestCallback) => frames.push(callback));
});

it('shows what comes after a pause on the next frame, and changes no faster than one can read', () => {
  const source = { value: 1, time: Date.now(), unit: '°C' as string | null };
  const { container } = render(<LiveValue source={source} staleAfter={() => 60_000} />);
  const text = () => container.querySelector('b')!.textContent;
  expect(text()).toBe('1');
  pass(1000);
  source.value = 2;
  source.time += 1;
  pass(1);
  expect(text()).toBe('2');

  const shown = new Set<string | null>();
  for (let i = 3; i < 63; i += 1) {
    source.value = i;
    source.time += 1;
    pass(1000 / 60);
    shown.add(text());
  }
  expect(shown.size).toBeGreaterThanOrEqual(4);
  expect(shown.size).toBeLessThanOrEqual(7);
  pass(250);
  expect(text()).toBe('62');

  source.unit = 'K';
  pass(500);
  expect(container.querySelector('i')!.textContent).toBe('K');
});
