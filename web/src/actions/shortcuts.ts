import { useEffect, useRef } from 'react';
import { type ActionContext, offered } from './actions';

const isMac = () => typeof navigator !== 'undefined' && /Mac|iPhone|iPad/.test(navigator.platform);

/** "mod+k" → ["⌘K"] or ["Ctrl", "K"] */
export function spellShortcut(shortcut: string, mac = isMac()): string[] {
  if (shortcut.startsWith('mod+')) {
    const key = shortcut.slice(4).toUpperCase();
    return mac ? [`⌘${key}`] : ['Ctrl', key];
  }
  return shortcut.split(' ').map((key) => key.toUpperCase());
}

function isTyping(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLElement &&
    (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName))
  );
}

const SEQUENCE_TIMEOUT = 900;

/** Turns key strokes into shortcut names; `null` while nothing is complete. */
export class KeyReader {
  private first = '';
  private firstAt = 0;

  constructor(private readonly known: () => string[]) {}

  read(event: Pick<KeyboardEvent, 'key' | 'metaKey' | 'ctrlKey' | 'altKey'>, now: number): string | null {
    if (event.altKey) return null;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const known = this.known();
    if (event.metaKey || event.ctrlKey) {
      this.first = '';
      return known.includes(`mod+${key}`) ? `mod+${key}` : null;
    }
    if (this.first && now - this.firstAt < SEQUENCE_TIMEOUT) {
      const both = `${this.first} ${key}`;
      this.first = '';
      if (known.includes(both)) return both;
    }
    if (known.some((k) => k.startsWith(`${key} `))) {
      this.first = key;
      this.firstAt = now;
      return null;
    }
    return known.includes(key) ? key : null;
  }
}

export function useShortcuts(context: ActionContext): void {
  const current = useRef(context);
  current.current = context;
  useEffect(() => {
    const reader = new KeyReader(() => offered(current.current).flatMap((a) => a.shortcut ?? []));
    const listener = (event: KeyboardEvent) => {
      const mod = event.metaKey || event.ctrlKey;
      if (event.defaultPrevented || (!mod && isTyping(event.target))) return;
      if (!mod && document.querySelector('[role="dialog"], [role="menu"]')) return;
      const shortcut = reader.read(event, performance.now());
      const action = shortcut && offered(current.current).find((a) => a.shortcut === shortcut);
      if (!action) return;
      event.preventDefault();
      action.perform(current.current);
    };
    window.addEventListener('keydown', listener);
    return () => window.removeEventListener('keydown', listener);
  }, []);
}
