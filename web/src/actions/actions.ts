import type { QueryClient } from '@tanstack/react-query';
import type { User } from '@/api/client';
import type { Live } from '@/live/live';
import type { IconName } from '@/ui/icons';

/** What actions may touch. The shell provides it. */
export interface ActionContext {
  go: (to: '/' | '/map' | '/connect' | '/login') => void;
  openDevice: (device: string) => void;
  show: (what: 'palette' | 'password' | 'shortcuts') => void;
  setScheme: (scheme: 'light' | 'dark' | 'auto') => void;
  scheme: 'light' | 'dark' | 'auto';
  dark: boolean;
  signOut: () => void;
  queryClient: QueryClient;
  live: Live;
  user: User | null;
  mode: 'closed' | 'open';
}

export interface Action {
  id: string;
  label: string | ((context: ActionContext) => string);
  icon: IconName;
  group: 'go' | 'look' | 'account';
  /** "mod+k", "/", "c", or two keys one after the other: "g o". */
  shortcut?: string;
  /** Not offered where it does not apply. */
  when?: (context: ActionContext) => boolean;
  perform: (context: ActionContext) => void;
}

/** Declared once; the menus, the palette and the keys derive from this list. */
export const actions: Action[] = [
  {
    id: 'overview',
    label: 'Overview',
    icon: 'devices',
    group: 'go',
    shortcut: 'g o',
    perform: (c) => c.go('/'),
  },
  {
    id: 'map',
    label: 'Map',
    icon: 'place',
    group: 'go',
    shortcut: 'g m',
    perform: (c) => c.go('/map'),
  },
  {
    id: 'connect',
    label: 'Connect a device',
    icon: 'plug',
    group: 'go',
    shortcut: 'c',
    perform: (c) => c.go('/connect'),
  },
  {
    id: 'palette',
    label: 'Search and commands',
    icon: 'search',
    group: 'go',
    shortcut: 'mod+k',
    perform: (c) => c.show('palette'),
  },
  {
    id: 'find',
    label: 'Find in the list of devices',
    icon: 'filter',
    group: 'go',
    shortcut: '/',
    perform: (c) => {
      const field = document.querySelector<HTMLInputElement>('[data-find]');
      if (field) field.focus();
      else c.show('palette');
    },
  },
  {
    id: 'toggle-scheme',
    label: (c) => (c.dark ? 'Light colours' : 'Dark colours'),
    icon: 'moon',
    group: 'look',
    shortcut: 't',
    perform: (c) => c.setScheme(c.dark ? 'light' : 'dark'),
  },
  {
    id: 'system-scheme',
    label: 'Colours as the system has them',
    icon: 'system',
    group: 'look',
    when: (c) => c.scheme !== 'auto',
    perform: (c) => c.setScheme('auto'),
  },
  {
    id: 'reconnect',
    label: 'Reconnect the live data now',
    icon: 'refresh',
    group: 'look',
    when: (c) => c.live.client.status.kind === 'waiting',
    perform: (c) => c.live.client.reconnect(),
  },
  {
    id: 'shortcuts',
    label: 'Keyboard shortcuts',
    icon: 'command',
    group: 'look',
    shortcut: '?',
    perform: (c) => c.show('shortcuts'),
  },
  {
    id: 'password',
    label: (c) => (c.user?.has_password ? 'Change password' : 'Set a password'),
    icon: 'key',
    group: 'account',
    when: (c) => c.mode === 'closed',
    perform: (c) => c.show('password'),
  },
  {
    id: 'sign-out',
    label: 'Log out',
    icon: 'logout',
    group: 'account',
    when: (c) => c.mode === 'closed',
    perform: (c) => c.signOut(),
  },
];

export function labelOf(action: Action, context: ActionContext): string {
  return typeof action.label === 'string' ? action.label : action.label(context);
}

export function offered(context: ActionContext): Action[] {
  return actions.filter((a) => a.when?.(context) ?? true);
}
