import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { isLoopRunning, onFrame } from './frameLoop';

let frames: FrameRequestCallback[] = [];
let hidden = false;
beforeEach(() => {
  frames = [];
  hidden = false;
  vi.stubGlobal('requestAnimationFrame', (callback: FrameRequestCallback) => frames.push(callback));
  vi.stubGlobal('cancelAnimationFrame', () => {
    frames = [];
  });
  vi.spyOn(document, 'hidden', 'get').mockImplementation(() => hidden);
});
afterEach(() => vi.unstubAllGlobals());

function frame(now: number) {
  const due = frames;
  frames = [];
  for (const callback of due) callback(now);
}

it('shares one frame among all, and sleeps when nobody is left', () => {
  const a = vi.fn();
  const b = vi.fn();
  const stops = [onFrame(a), onFrame(b)];
  expect(frames).toHaveLength(1);
  frame(1);
  frame(2);
  expect([a.mock.calls.length, b.mock.calls.length]).toEqual([2, 2]);
  for (const stop of stops) stop();
  frame(3);
  expect(isLoopRunning()).toBe(false);
});

it('calls a slow listener no more often than it asked', () => {
  const slow = vi.fn();
  const stop = onFrame(slow, 100);
  const base = performance.now() + 1000;
  for (let i = 0; i < 60; i += 1) frame(base + i * 16);
  expect(slow.mock.calls.length).toBeGreaterThanOrEqual(8);
  expect(slow.mock.calls.length).toBeLessThanOrEqual(10);
  stop();
  frame(base + 5000);
});

it('rests while the page is hidden and goes on when it is shown', () => {
  const draw = vi.fn();
  const stop = onFrame(draw);
  hidden = true;
  document.dispatchEvent(new Event('visibilitychange'));
  expect(frames).toHaveLength(0);
  hidden = false;
  document.dispatchEvent(new Event('visibilitychange'));
  expect(frames).toHaveLength(1);
  frame(1);
  expect(draw).toHaveBeenCalledOnce();
  stop();
  frame(2);
});
