/** Ten hues that stay apart for most eyes, light and dark; beyond ten they come again, lighter. */
const LIGHT = [
  '#3836c4',
  '#c2570c',
  '#0b7f77',
  '#b0286f',
  '#5c7f12',
  '#1d6fd1',
  '#8a4fd3',
  '#9a6a00',
  '#c0392f',
  '#4a6472',
];
const DARK = [
  '#9d9bff',
  '#ff9d5c',
  '#3fd0c0',
  '#ff86bd',
  '#b5d94c',
  '#6cb4ff',
  '#d09bff',
  '#f2c14b',
  '#ff8b80',
  '#a9c1ce',
];

export interface ChartTheme {
  dark: boolean;
  ink: string;
  faint: string;
  grid: string;
  surface: string;
  font: string;
  series(index: number): string;
}

let cached: ChartTheme | null = null;

/** Colours for canvases, read from the stylesheet once for each colour scheme. */
export function chartTheme(): ChartTheme {
  const dark = document.documentElement.getAttribute('data-mantine-color-scheme') === 'dark';
  if (cached?.dark === dark) return cached;
  const style = getComputedStyle(document.documentElement);
  const token = (name: string, fallback: string) => style.getPropertyValue(name).trim() || fallback;
  cached = {
    dark,
    ink: token('--ink-2', '#555'),
    faint: token('--ink-3', '#777'),
    grid: token('--grid', '#ddd'),
    surface: token('--surface', '#fff'),
    font: "11px 'Geist Variable', system-ui, sans-serif",
    series: (index) => seriesColor(index, dark),
  };
  return cached;
}

function mix(color: string, towards: number, part: number): string {
  const channel = (at: number) => {
    const value = Number.parseInt(color.slice(at, at + 2), 16);
    return Math.round(value * (1 - part) + towards * part)
      .toString(16)
      .padStart(2, '0');
  };
  return `#${channel(1)}${channel(3)}${channel(5)}`;
}

/** The colour of the series at `index`, for canvases and legends alike; what is not drawn (-1) takes the first. */
export function seriesColor(at: number, dark: boolean): string {
  const index = Math.max(at, 0);
  const colors = dark ? DARK : LIGHT;
  const color = colors[index % colors.length]!;
  const round = Math.floor(index / colors.length);
  return round === 0 ? color : mix(color, dark ? 0 : 255, Math.min(0.6, round * 0.16));
}
