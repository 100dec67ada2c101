import { Loader } from '@mantine/core';
import { Link } from '@tanstack/react-router';
import { Icon } from '@/ui/icons';
import classes from './FirstSteps.module.css';
import { texts } from './texts';
import { useDemo } from './useDemo';

/** What to do while this machine is the only device. */
export function FirstSteps() {
  const { demo, start } = useDemo();
  return (
    <div className={classes.root}>
      <h2>{texts.next}</h2>
      <Link to="/connect" className={classes.step} data-first>
        <Icon name="plug" size={20} />
        <span>
          <b>{texts.connect}</b>
          <small>{texts.connectHint}</small>
        </span>
        <Icon name="right" />
      </Link>
      {demo && !demo.installed && (
        <button
          type="button"
          className={classes.step}
          onClick={() => start.mutate()}
          disabled={start.isPending}
        >
          <Icon name="spark" size={20} />
          <span>
            <b>{texts.start}</b>
            <small>{texts.startHint}</small>
          </span>
          {start.isPending ? <Loader size={14} /> : <Icon name="right" />}
        </button>
      )}
    </div>
  );
}
