import { useLost } from './lost';
import classes from './StateDot.module.css';

export type State = 'online' | 'silent' | 'never';
export const STATE_WORDS: Record<State, string> = { online: 'Online', silent: 'Silent', never: 'Never seen' };

/** Colour and shape both say it: full, ring with a bar, empty ring. Grey, and in the past, while the server is not heard. */
export function StateDot({ state, labelled = false }: { state: State; labelled?: boolean }) {
  const lost = useLost();
  const words = lost && state !== 'never' ? `Was ${STATE_WORDS[state].toLowerCase()}` : STATE_WORDS[state];
  return (
    <span className={classes.root} data-state={state} data-lost={lost || undefined}>
      <span className={classes.dot} aria-hidden="true" />
      {labelled ? words : <span className="visually-hidden">{words}</span>}
    </span>
  );
}
