import type { ReactNode } from 'react';

/** Scrolls where it must; the keyboard reaches it. */
export function ScrollBox({
  label,
  maxHeight,
  children,
}: {
  label: string;
  maxHeight?: number;
  children: ReactNode;
}) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: arrow keys scroll it only when it can have the focus
    <section aria-label={label} tabIndex={0} style={{ overflow: 'auto', maxHeight }}>
      {children}
    </section>
  );
}
