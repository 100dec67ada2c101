import { Button } from '@mantine/core';
import { useQueryClient } from '@tanstack/react-query';
import { type ErrorComponentProps, Link, useRouter } from '@tanstack/react-router';
import { messageOf } from '@/api/client';
import { Mark } from '@/ui/icons';
import classes from './ErrorPage.module.css';

export function ErrorPage({ error, reset }: Partial<ErrorComponentProps>) {
  const router = useRouter();
  const client = useQueryClient();
  return (
    <main className={classes.root}>
      <Mark size={40} />
      <h1>This page could not be shown</h1>
      <p>{messageOf(error)}</p>
      <Button
        onClick={() => {
          client.resetQueries({ queryKey: ['me'] });
          reset?.();
          router.invalidate();
        }}
      >
        Try again
      </Button>
    </main>
  );
}

export function NotFoundPage() {
  return (
    <div className={classes.root}>
      <Mark size={40} />
      <h1>There is nothing here</h1>
      <p>The address may be mistyped, or what it named is gone.</p>
      <Button renderRoot={(props) => <Link to="/" {...props} />}>To the overview</Button>
    </div>
  );
}
