import { Button, Group, Loader, Stack } from '@mantine/core';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { api, messageOf, type Schemas, take } from '@/api/client';
import { queries } from '@/api/queries';
import { formatMoment, parseTime } from '@/lib/time';
import { CopyButton } from '@/ui/CopyButton';
import { Dialog } from '@/ui/Dialog';
import { Icon } from '@/ui/icons';
import { Age } from '@/ui/Live';
import { ScrollBox } from '@/ui/ScrollBox';
import { Secret } from '@/ui/Secret';
import { toast } from '@/ui/toasts';
import classes from './Tabs.module.css';
import { texts } from './texts';

const t = texts.credentials;

export function CredentialsTab({ device }: { device: string }) {
  const client = useQueryClient();
  const list = useQuery(queries.credentials(device));
  const [made, setMade] = useState<Schemas['CredentialWithToken'] | null>(null);
  const [doomed, setDoomed] = useState<string | null>(null);
  const refresh = () => client.invalidateQueries({ queryKey: queries.credentials(device).queryKey });
  const create = useMutation({
    mutationFn: () =>
      take(api.POST('/api/v1/devices/{device}/credentials', { params: { path: { device } }, body: {} })),
    onSuccess: (credential) => {
      setMade(credential);
      refresh();
    },
    onError: (error) => toast(messageOf(error), { tone: 'bad' }),
  });
  const revoke = useMutation({
    mutationFn: (id: string) =>
      take(api.DELETE('/api/v1/devices/{device}/credentials/{id}', { params: { path: { device, id } } })),
    onSuccess: () => toast(t.revoked),
    onError: (error) => toast(messageOf(error), { tone: 'bad' }),
    onSettled: refresh,
  });

  if (list.isPending) return <Loader size="sm" m="md" />;
  const credentials = list.data?.credentials ?? [];
  return (
    <>
      <Group justify="space-between" gap="xs" mb="xs">
        <p className={classes.help}>{credentials.length ? t.help : t.none}</p>
        <Button
          leftSection={<Icon name="plus" size={14} />}
          onClick={() => create.mutate()}
          loading={create.isPending}
        >
          {t.create}
        </Button>
      </Group>
      {credentials.length > 0 && (
        <ScrollBox label={texts.tabs.credentials}>
          <table className={classes.table}>
            <thead>
              <tr>
                <th scope="col">Id</th>
                <th scope="col">{t.created}</th>
                <th scope="col">{t.used}</th>
                <th scope="col">{t.expires}</th>
                <th scope="col">
                  <span className="visually-hidden">{t.revoke}</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {credentials.map((c) => (
                <tr key={c.id}>
                  <td>
                    <code>{c.id}</code>
                  </td>
                  <td className={classes.time}>{formatMoment(parseTime(c.created_at))}</td>
                  <td>{c.last_used_at ? <Age time={() => parseTime(c.last_used_at)} /> : t.notUsed}</td>
                  <td>{c.expires_at ? formatMoment(parseTime(c.expires_at)) : t.never}</td>
                  <td data-number>
                    <Button size="compact-xs" variant="subtle" color="red" onClick={() => setDoomed(c.id)}>
                      {t.revoke}
                    </Button>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </ScrollBox>
      )}
      {made && (
        <Dialog onClose={() => setMade(null)} title={t.onceTitle} locked>
          <Stack gap="sm">
            <p>{t.once}</p>
            <Secret text={made.token} label={t.onceTitle} />
            <p className={classes.help}>{t.how}</p>
            <Group justify="flex-end" gap="xs">
              <Button variant="default" onClick={() => setMade(null)}>
                {t.done}
              </Button>
              <CopyButton text={made.token} label={t.copy} />
            </Group>
          </Stack>
        </Dialog>
      )}
      {doomed && (
        <Dialog onClose={() => setDoomed(null)} title={t.revokeTitle} size="sm">
          <Stack gap="md">
            <p>{t.revokeText}</p>
            <Group justify="flex-end" gap="xs">
              <Button variant="default" onClick={() => setDoomed(null)}>
                {t.cancel}
              </Button>
              <Button
                color="red"
                data-autofocus
                onClick={() => {
                  revoke.mutate(doomed);
                  setDoomed(null);
                }}
              >
                {t.revoke}
              </Button>
            </Group>
          </Stack>
        </Dialog>
      )}
    </>
  );
}
