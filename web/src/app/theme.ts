import {
  type CSSVariablesResolver,
  createTheme,
  isMantineColorScheme,
  type MantineColorSchemeManager,
  type MantineColorsTuple,
} from '@mantine/core';

const flux: MantineColorsTuple = [
  '#efeffe',
  '#dcdbfb',
  '#b8b6f5',
  '#9290f0',
  '#716eea',
  '#5754e2',
  '#4643d6',
  '#3836c4',
  '#2d2ba3',
  '#222180',
];
const stone: MantineColorsTuple = [
  '#f8f7f4',
  '#f1f0eb',
  '#e6e3dc',
  '#d6d2c8',
  '#bdb8ab',
  '#999385',
  '#716c61',
  '#57534a',
  '#36332d',
  '#1b1a17',
];
const night: MantineColorsTuple = [
  '#e7e8ee',
  '#c3c6d1',
  '#a4a8b6',
  '#7f8494',
  '#3a3f4d',
  '#2b2f3a',
  '#1d2029',
  '#15171e',
  '#0f1116',
  '#0a0b0f',
];

export const theme = createTheme({
  primaryColor: 'flux',
  primaryShade: { light: 7, dark: 5 },
  colors: { flux, gray: stone, dark: night },
  fontFamily: "'Geist Variable', ui-sans-serif, system-ui, sans-serif",
  fontFamilyMonospace: "'Geist Mono Variable', ui-monospace, 'SF Mono', Menlo, monospace",
  headings: { fontFamily: "'Geist Variable', ui-sans-serif, system-ui, sans-serif", fontWeight: '600' },
  fontSizes: { xs: '0.75rem', sm: '0.8125rem', md: '0.875rem', lg: '1rem', xl: '1.25rem' },
  lineHeights: { xs: '1.35', sm: '1.4', md: '1.45', lg: '1.45', xl: '1.3' },
  spacing: { xs: '0.5rem', sm: '0.75rem', md: '1rem', lg: '1.5rem', xl: '2rem' },
  radius: { xs: '3px', sm: '5px', md: '7px', lg: '10px', xl: '14px' },
  defaultRadius: 'sm',
  cursorType: 'pointer',
  focusRing: 'auto',
  respectReducedMotion: true,
  components: {
    Button: { defaultProps: { size: 'xs' } },
    ActionIcon: { defaultProps: { variant: 'subtle', color: 'gray', size: 'md' } },
    TextInput: { defaultProps: { size: 'xs' } },
    PasswordInput: { defaultProps: { size: 'sm' } },
    Select: { defaultProps: { size: 'xs' } },
    Tooltip: { defaultProps: { openDelay: 350, withinPortal: true, fz: 'xs' } },
    SegmentedControl: { defaultProps: { withItemsBorders: false } },
    ModalRoot: { defaultProps: { radius: 'lg', yOffset: '9vh', transitionProps: { duration: 120 } } },
    ModalOverlay: { defaultProps: { backgroundOpacity: 0.35 } },
    Menu: { defaultProps: { shadow: 'md', radius: 'md' } },
    Popover: { defaultProps: { shadow: 'md', radius: 'md' } },
  },
});

/** Mantine's surfaces, in our tokens (tokens.css). */
export const variables: CSSVariablesResolver = () => {
  const both = {
    '--mantine-font-weight-medium': '500',
    '--mantine-color-body': 'var(--bg)',
    '--mantine-color-text': 'var(--ink)',
    '--mantine-color-dimmed': 'var(--ink-2)',
    '--mantine-color-placeholder': 'var(--ink-3)',
    '--mantine-color-default': 'var(--raised)',
    '--mantine-color-default-hover': 'var(--hover)',
    '--mantine-color-default-border': 'var(--line-strong)',
    '--mantine-color-default-color': 'var(--ink)',
    '--mantine-color-anchor': 'var(--accent)',
    '--mantine-color-error': 'var(--bad)',
    '--mantine-color-gray-light-color': 'var(--ink-2)',
    '--mantine-color-gray-light-hover': 'var(--hover)',
  };
  return { variables: {}, light: both, dark: both };
};

const KEY = 'fluxgate.scheme';

/** Remembers what was chosen; shared with public/scheme.js, and with the other tabs. */
export function schemeManager(): MantineColorSchemeManager {
  let stop = () => {};
  return {
    get(fallback) {
      try {
        const value = localStorage.getItem(KEY);
        return isMantineColorScheme(value) ? value : fallback;
      } catch {
        return fallback;
      }
    },
    set(value) {
      try {
        localStorage.setItem(KEY, value);
      } catch {}
    },
    subscribe(update) {
      const listener = (event: StorageEvent) => {
        if (event.key === KEY && isMantineColorScheme(event.newValue)) update(event.newValue);
      };
      window.addEventListener('storage', listener);
      stop = () => window.removeEventListener('storage', listener);
    },
    unsubscribe: () => stop(),
    clear() {
      try {
        localStorage.removeItem(KEY);
      } catch {}
    },
  };
}
