import type { ReactNode } from 'react';
import classes from './Gate.module.css';
import { Mark } from './icons';

/** The frame of the pages before the log-in. */
export function Gate({ title, lead, children }: { title: string; lead: string; children?: ReactNode }) {
  return (
    <main className={classes.root}>
      <svg
        className={classes.field}
        viewBox="0 0 1200 600"
        preserveAspectRatio="xMidYMid slice"
        aria-hidden="true"
      >
        {Array.from({ length: 13 }, (_, i) => {
          const y = 300 + (i - 6) * 46;
          const bend = (i - 6) * 34;
          return (
            <path
              key={y}
              d={`M-20 ${300 + (i - 6) * 15}C300 ${y - bend * 0.2} 420 ${y + bend} 600 ${y + bend}S900 ${y - bend * 0.2} 1220 ${300 + (i - 6) * 15}`}
            />
          );
        })}
      </svg>
      <section className={classes.card}>
        <header>
          <Mark size={34} />
          <div>
            <strong>Fluxgate</strong>
            <span>{lead}</span>
          </div>
        </header>
        <h1>{title}</h1>
        {children}
      </section>
    </main>
  );
}
