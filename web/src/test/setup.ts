import '@testing-library/jest-dom/vitest';
import { cleanup, configure } from '@testing-library/react';
import { afterEach, vi } from 'vitest';

// A failure says what was sought; the whole document beside it hides that.
configure({
  getElementError: (message) => {
    const error = new Error(message?.split('\n\n')[0] ?? '');
    error.name = 'NotFound';
    return error;
  },
});

// What jsdom lacks and the page needs: sizes, media queries, canvases.
class Observer {
  constructor(private readonly callback: ResizeObserverCallback) {}
  observe(target: Element): void {
    const contentRect = { width: 800, height: 600 } as DOMRectReadOnly;
    const size = [{ inlineSize: 800, blockSize: 600 }];
    this.callback(
      [
        {
          target,
          contentRect,
          borderBoxSize: size,
          contentBoxSize: size,
          devicePixelContentBoxSize: size,
        } as unknown as ResizeObserverEntry,
      ],
      this as unknown as ResizeObserver,
    );
  }
  unobserve(): void {}
  disconnect(): void {}
}

if (typeof window !== 'undefined') {
  window.ResizeObserver = Observer as unknown as typeof ResizeObserver;
  window.matchMedia = (query: string) =>
    ({
      matches: query.includes('min-width'),
      media: query,
      onchange: null,
      addEventListener: () => {},
      removeEventListener: () => {},
      addListener: () => {},
      removeListener: () => {},
      dispatchEvent: () => false,
    }) as unknown as MediaQueryList;
  window.scrollTo = () => {};
  Element.prototype.scrollIntoView = () => {};
  for (const side of ['offset', 'client']) {
    Object.defineProperty(HTMLElement.prototype, `${side}Height`, { configurable: true, get: () => 600 });
    Object.defineProperty(HTMLElement.prototype, `${side}Width`, { configurable: true, get: () => 800 });
  }
  HTMLCanvasElement.prototype.getContext = (() => null) as never;
}

afterEach(() => {
  cleanup();
  vi.useRealTimers();
});
