import { Button, PasswordInput, Stack, TextInput } from '@mantine/core';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { useState } from 'react';
import { ApiError, api, messageOf, take } from '@/api/client';
import { queries } from '@/api/queries';
import { Gate } from '@/ui/Gate';
import { Notice } from '@/ui/Notice';
import { texts } from './texts';

/** Only a place of our own: `next` comes from the address. */
export function safeNext(next: string | undefined): string {
  return next?.startsWith('/') && !/^\/[/\\]/.test(next) && !next.startsWith('/login') ? next : '/';
}

export function LoginPage() {
  const { next } = useSearch({ from: '/login' });
  const navigate = useNavigate();
  const client = useQueryClient();
  const [username, setUsername] = useState('admin');
  const [password, setPassword] = useState('');
  const login = useMutation({
    mutationFn: () => take(api.POST('/api/v1/auth/login', { body: { username, password, session: true } })),
    onSuccess: async () => {
      client.clear();
      await client.fetchQuery(queries.me());
      await navigate({ href: safeNext(next), replace: true });
    },
    onError: () => setPassword(''),
  });
  const waiting = login.error instanceof ApiError && login.error.status === 429;
  return (
    <Gate title={texts.title} lead={texts.lead}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (username && password) login.mutate();
        }}
      >
        <Stack gap="sm">
          {login.error && (
            <Notice tone="bad" icon={waiting ? 'clock' : 'alert'}>
              {messageOf(login.error)}
            </Notice>
          )}
          <TextInput
            size="sm"
            label={texts.username}
            autoComplete="username"
            value={username}
            onChange={(e) => setUsername(e.currentTarget.value)}
            required
            withAsterisk={false}
          />
          <PasswordInput
            label={texts.password}
            autoComplete="current-password"
            value={password}
            onChange={(e) => setPassword(e.currentTarget.value)}
            required
            withAsterisk={false}
            autoFocus
          />
          <Button type="submit" size="sm" loading={login.isPending} fullWidth>
            {texts.submit}
          </Button>
        </Stack>
      </form>
      <p>{texts.help}</p>
    </Gate>
  );
}
