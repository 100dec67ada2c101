import type { ReactNode } from 'react';
import { Icon, type IconName } from './icons';
import classes from './Notice.module.css';

/** A calm line across a page: something to know, and perhaps something to do. */
export function Notice({
  tone = 'plain',
  icon = 'info',
  children,
  actions,
}: {
  tone?: 'plain' | 'accent' | 'warn' | 'bad';
  icon?: IconName;
  children: ReactNode;
  actions?: ReactNode;
}) {
  return (
    <div className={classes.root} data-tone={tone} role={tone === 'bad' ? 'alert' : undefined}>
      <Icon name={icon} size={16} className={classes.icon} />
      <div className={classes.text}>{children}</div>
      {actions && <div className={classes.actions}>{actions}</div>}
    </div>
  );
}
