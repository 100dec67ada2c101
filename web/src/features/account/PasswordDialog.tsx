import { Button, Group, PasswordInput, Stack } from '@mantine/core';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { ApiError, api, messageOf, take, type User } from '@/api/client';
import { Dialog } from '@/ui/Dialog';
import { toast } from '@/ui/toasts';
import { texts } from './texts';

export function PasswordDialog({ user, onClose }: { user: User; onClose: () => void }) {
  const [current, setCurrent] = useState('');
  const [fresh, setFresh] = useState('');
  const [again, setAgain] = useState('');
  const [tried, setTried] = useState(false);
  const client = useQueryClient();
  const save = useMutation({
    mutationFn: () =>
      take(
        api.PUT('/api/v1/auth/password', {
          body: user.has_password ? { current, new: fresh } : { new: fresh },
        }),
      ),
    onSuccess: async () => {
      await client.invalidateQueries({ queryKey: ['me'] });
      toast(texts.done);
      onClose();
    },
  });
  const short = fresh.length < 8;
  const differ = again !== fresh;
  const field = save.error instanceof ApiError ? save.error.field : undefined;
  return (
    <Dialog onClose={onClose} title={user.has_password ? texts.changeTitle : texts.setTitle} size="sm">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          setTried(true);
          if (!short && !differ) save.mutate();
        }}
      >
        <Stack gap="sm">
          <input type="text" name="username" autoComplete="username" value={user.username} readOnly hidden />
          {user.has_password && (
            <PasswordInput
              data-autofocus
              label={texts.current}
              autoComplete="current-password"
              value={current}
              onChange={(e) => setCurrent(e.currentTarget.value)}
              error={field === 'current' ? messageOf(save.error) : null}
            />
          )}
          <PasswordInput
            data-autofocus={!user.has_password || undefined}
            label={texts.fresh}
            description={texts.hint}
            autoComplete="new-password"
            value={fresh}
            onChange={(e) => setFresh(e.currentTarget.value)}
            error={tried && short ? texts.tooShort : field === 'new' ? messageOf(save.error) : null}
          />
          <PasswordInput
            label={texts.again}
            autoComplete="new-password"
            value={again}
            onChange={(e) => setAgain(e.currentTarget.value)}
            error={
              tried && differ
                ? texts.differ
                : save.error && field !== 'new' && field !== 'current'
                  ? messageOf(save.error)
                  : null
            }
          />
          <Group justify="flex-end" gap="xs">
            <Button variant="default" onClick={onClose}>
              {texts.cancel}
            </Button>
            <Button type="submit" loading={save.isPending}>
              {texts.save}
            </Button>
          </Group>
        </Stack>
      </form>
    </Dialog>
  );
}
