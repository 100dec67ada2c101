import { createContext, useContext } from 'react';

/** When the server was last heard, while it cannot be reached; null while it can. The shell provides it. */
export const LostContext = createContext<number | null>(null);

/** Does what is shown come from before the connection was lost? */
export function useLost(): boolean {
  return useContext(LostContext) !== null;
}
