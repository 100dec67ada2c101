import type { Socket } from '@/live/LiveClient';

/** The server's end of a live connection, in a test's hands. */
export class FakeSocket implements Socket {
  readyState = 0;
  onopen: (() => void) | null = null;
  onclose: ((event: { code: number }) => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onerror: (() => void) | null = null;
  sent: Record<string, unknown>[] = [];

  send(text: string): void {
    this.sent.push(JSON.parse(text));
  }
  close(): void {
    this.readyState = 3;
  }

  accept(): void {
    this.readyState = 1;
    this.onopen?.();
  }
  say(message: object): void {
    this.onmessage?.({ data: JSON.stringify(message) });
  }
  drop(code = 1006): void {
    this.readyState = 3;
    this.onclose?.({ code });
  }

  /** The newest subscription that has all of `part`. */
  subscription(part: Record<string, unknown>): Record<string, unknown> | undefined {
    return this.sent.findLast(
      (m) =>
        m.op === 'subscribe' &&
        Object.entries(part).every(([k, v]) => JSON.stringify(m[k]) === JSON.stringify(v)),
    );
  }
}
