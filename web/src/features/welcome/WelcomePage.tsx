import { Button, Loader } from '@mantine/core';
import { useQueryClient } from '@tanstack/react-query';
import { Link, useNavigate } from '@tanstack/react-router';
import { useEffect, useRef, useState } from 'react';
import { api, messageOf, take } from '@/api/client';
import { queries } from '@/api/queries';
import { Gate } from '@/ui/Gate';
import { Notice } from '@/ui/Notice';
import { texts } from './texts';

export function tokenOf(hash: string): string | null {
  return new URLSearchParams(hash.replace(/^#/, '')).get('token') || null;
}

export function WelcomePage() {
  const navigate = useNavigate();
  const client = useQueryClient();
  const [problem, setProblem] = useState<string | null>(null);
  const asked = useRef(false);

  useEffect(() => {
    if (asked.current) return; // the link is good once; StrictMode runs effects twice
    asked.current = true;
    const token = tokenOf(location.hash);
    // Out of the address and the history at once.
    history.replaceState(history.state, '', location.pathname);
    if (!token) {
      setProblem(texts.missing);
      return;
    }
    take(api.POST('/api/v1/auth/link', { body: { token } }))
      .then(async () => {
        client.clear();
        await client.fetchQuery(queries.me());
        await navigate({ to: '/', replace: true });
      })
      .catch((error) => setProblem(messageOf(error)));
  }, [client, navigate]);

  return (
    <Gate title={problem ? texts.failed : texts.title} lead={texts.lead}>
      {problem ? (
        <>
          <Notice tone="bad" icon="alert">
            {problem}
          </Notice>
          <p>{texts.failedHelp}</p>
          <Button size="sm" renderRoot={(props) => <Link to="/login" search={{}} {...props} />}>
            {texts.toLogin}
          </Button>
        </>
      ) : (
        <p role="status">
          <Loader size={14} mr={8} style={{ verticalAlign: '-2px' }} /> {texts.opening}
        </p>
      )}
    </Gate>
  );
}
