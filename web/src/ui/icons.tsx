import type { SVGProps } from 'react';

const PATHS = {
  search: 'M10.500 17a6.500 6.500 0 1 0 0-13 6.500 6.500 0 0 0 0 13M15.300 15.300 20 20',
  plus: 'M12 5v14M5 12h14',
  minus: 'M5 12h14',
  fit: 'M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5',
  sun: 'M12 16a4 4 0 1 0 0-8 4 4 0 0 0 0 8M12 2.500v2M12 19.500v2M2.500 12h2M19.500 12h2M5.300 5.300l1.400 1.400M17.300 17.300l1.400 1.400M5.300 18.700l1.400-1.400M17.300 6.700l1.400-1.400',
  moon: 'M20 14.200A8.200 8.200 0 0 1 9.800 4 8.200 8.200 0 1 0 20 14.200',
  system: 'M4 5h16v11H4zM9 20h6M12 16v4',
  copy: 'M9 9h10v11H9zM5 15V4h10',
  check: 'M5 12.500 10 17.500 19 7',
  close: 'M6 6l12 12M18 6 6 18',
  down: 'M6 9.500l6 6 6-6',
  up: 'M6 14.500l6-6 6 6',
  right: 'M9.500 6l6 6-6 6',
  left: 'M14.500 6l-6 6 6 6',
  trash: 'M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13M10.500 11v5M13.500 11v5',
  pencil: 'M5 19l1-4L16.500 4.500l3 3L9 18z',
  key: 'M8 19a4 4 0 1 0 0-8 4 4 0 0 0 0 8M11 12l8-8M15.500 7.500l3 3',
  download: 'M12 4v11M7.500 11 12 15.500 16.500 11M5 20h14',
  user: 'M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8M4.500 20c1-4 4-5.500 7.500-5.500s6.500 1.500 7.500 5.500',
  logout: 'M10 5H5v14h5M14 8l4 4-4 4M18 12H9',
  play: 'M8 5.500v13l10.500-6.500z',
  pause: 'M8.500 5.500v13M15.500 5.500v13',
  chart: 'M4 4v16h16M7.500 14l3.500-4.500 3 3 4.500-6',
  devices: 'M4 5h16v5H4zM4 14h16v5H4zM7.500 7.500h.01M7.500 16.500h.01',
  filter: 'M4 6h16M7 12h10M10 18h4',
  more: 'M6 12h.01M12 12h.01M18 12h.01',
  alert: 'M12 4 21 19.500H3zM12 10v4.500M12 17h.01',
  info: 'M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18M12 11v5M12 8h.01',
  place:
    'M12 21c4.500-5 6.500-8 6.500-11a6.500 6.500 0 0 0-13 0c0 3 2 6 6.500 11M12 12a2.200 2.200 0 1 0 0-4.400 2.200 2.200 0 0 0 0 4.400',
  plug: 'M9 4v5M15 4v5M6.500 9h11v3a5.500 5.500 0 0 1-11 0zM12 17.500V21',
  clock: 'M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18M12 7v5l3.500 2',
  refresh: 'M19.500 12a7.500 7.500 0 1 1-2.300-5.400M19.500 3.500v4h-4',
  zoomOut: 'M10.500 17a6.500 6.500 0 1 0 0-13 6.500 6.500 0 0 0 0 13M15.300 15.300 20 20M8 10.500h5',
  command:
    'M9 9h6v6H9zM9 9H7a2 2 0 1 1 2-2zM15 9V7a2 2 0 1 1 2 2zM15 15h2a2 2 0 1 1-2 2zM9 15v2a2 2 0 1 1-2-2z',
  spark: 'M13 3 5.500 13.500H12L11 21l7.500-10.500H12z',
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({
  name,
  size = 16,
  ...rest
}: { name: IconName; size?: number } & SVGProps<SVGSVGElement>) {
  return (
    <svg
      width={size}
      height={size}
      viewBox="0 0 24 24"
      fill="none"
      stroke="currentColor"
      strokeWidth={1.7}
      strokeLinecap="round"
      strokeLinejoin="round"
      aria-hidden="true"
      {...rest}
    >
      <path d={PATHS[name]} strokeWidth={name === 'more' ? 2.6 : undefined} />
    </svg>
  );
}

/** Field lines of a core, and the signal that passes through. */
export function Mark({ size = 22 }: { size?: number }) {
  return (
    <svg
      width={size}
      height={size}
      viewBox="0 0 32 32"
      fill="none"
      strokeLinecap="round"
      strokeWidth={2.6}
      aria-hidden="true"
    >
      <path d="M6 11.500a11 11 0 0 1 20 0M26 20.500a11 11 0 0 1-20 0" stroke="var(--ink-3)" />
      <path d="M2 16h6c2.600-9 5.300-9 8 0s5.400 9 8 0h6" stroke="var(--accent)" />
    </svg>
  );
}
