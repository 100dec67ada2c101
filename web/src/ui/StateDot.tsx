import classes from './StateDot.module.css';

export type State = 'online' | 'silent' | 'never';
export const STATE_WORDS: Record<State, string> = { online: 'Online', silent: 'Silent', never: 'Never seen' };

/** Colour and shape both say it: full, ring with a bar, empty ring. */
export function StateDot({ state, labelled = false }: { state: State; labelled?: boolean }) {
  return (
    <span className={classes.root} data-state={state}>
      <span className={classes.dot} aria-hidden="true" />
      {labelled ? STATE_WORDS[state] : <span className="visually-hidden">{STATE_WORDS[state]}</span>}
    </span>
  );
}
