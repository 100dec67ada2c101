import { Button, Loader } from '@mantine/core';
import { useEffect, useState } from 'react';
import { useLost } from './lost';
import classes from './Waiting.module.css';

const PATIENCE = 4_000;

/** Something is on its way. After a while, or while the server is not heard, it says so and offers to ask again. */
export function Waiting({ label, onRetry }: { label: string; onRetry: () => void }) {
  const lost = useLost();
  const [late, setLate] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setLate(true), PATIENCE);
    return () => clearTimeout(timer);
  }, []);
  const long = late || lost;
  return (
    <div className={classes.root} role={long ? 'alert' : 'status'}>
      <Loader size="sm" aria-hidden="true" />
      <p>{long ? 'The server does not answer yet.' : label}</p>
      {long && (
        <Button variant="default" size="xs" onClick={onRetry}>
          Try again
        </Button>
      )}
    </div>
  );
}
