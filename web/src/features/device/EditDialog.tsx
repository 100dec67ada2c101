import { ActionIcon, Button, Group, Select, Stack, TextInput } from '@mantine/core';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { api, type Device, messageOf, type Schemas, take } from '@/api/client';
import { queries } from '@/api/queries';
import { Dialog } from '@/ui/Dialog';
import { Icon } from '@/ui/icons';
import { Notice } from '@/ui/Notice';
import { toast } from '@/ui/toasts';
import classes from './EditDialog.module.css';
import { texts } from './texts';

const t = texts.editDialog;

/** What must be sent so that `before` becomes `after`: a label that went is sent as null. */
export function labelPatch(
  before: Record<string, string>,
  after: Record<string, string>,
): Record<string, string | null> {
  const patch: Record<string, string | null> = {};
  for (const key of Object.keys(before)) if (!(key in after)) patch[key] = null;
  for (const [key, value] of Object.entries(after)) if (before[key] !== value) patch[key] = value;
  return patch;
}

type Patch = Schemas['DevicePatch'];

export function EditDialog({ device, onClose }: { device: Device; onClose: () => void }) {
  const client = useQueryClient();
  const profiles = useQuery(queries.profiles());
  const [name, setName] = useState(device.name ?? '');
  const [profile, setProfile] = useState(device.profile);
  const [labels, setLabels] = useState(
    Object.entries(device.labels).map(([key, value], id) => ({ id, key, value })),
  );
  const keys = labels.map((l) => l.key.trim());
  const duplicate = keys.find((k, i) => k && keys.indexOf(k) !== i);

  const send = (body: Patch) =>
    take(api.PATCH('/api/v1/devices/{device}', { params: { path: { device: device.device } }, body }));
  const settle = (saved: Device) => {
    client.setQueryData(queries.device(device.device).queryKey, saved);
    client.invalidateQueries({ queryKey: ['devices', 'list'] });
  };
  const save = useMutation({
    mutationFn: () => {
      const wanted = Object.fromEntries(
        labels.filter((l) => l.key.trim()).map((l) => [l.key.trim(), l.value.trim()]),
      );
      return send({ name: name.trim() || null, profile, labels: labelPatch(device.labels, wanted) });
    },
    onSuccess: (saved) => {
      settle(saved);
      const undo = async () => {
        try {
          settle(
            await send({
              name: device.name,
              profile: device.profile,
              labels: labelPatch(saved.labels, device.labels),
            }),
          );
        } catch (error) {
          toast(messageOf(error), { tone: 'bad' });
        }
      };
      toast(t.saved, { action: { label: t.undo, perform: undo } });
      onClose();
    },
  });

  const options = [
    ...new Set([...(profiles.data ?? []).map((p) => p.profile), ...(profile ? [profile] : [])]),
  ];
  return (
    <Dialog onClose={onClose} title={t.title}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (!duplicate) save.mutate();
        }}
      >
        <Stack gap="sm">
          {save.error && (
            <Notice tone="bad" icon="alert">
              {messageOf(save.error)}
            </Notice>
          )}
          <TextInput
            data-autofocus
            size="sm"
            label={t.name}
            placeholder={device.device}
            value={name}
            maxLength={256}
            onChange={(e) => setName(e.currentTarget.value)}
          />
          <Select
            size="sm"
            label={t.profile}
            placeholder={t.noProfile}
            data={options}
            value={profile}
            onChange={setProfile}
            clearable
            clearButtonProps={{ 'aria-label': t.noProfile }}
          />
          <fieldset className={classes.labels}>
            <legend>{t.labels}</legend>
            {labels.map((label, i) => (
              <div key={label.id} className={classes.label}>
                <TextInput
                  aria-label={t.key}
                  placeholder={t.key}
                  value={label.key}
                  error={duplicate !== undefined && label.key.trim() === duplicate}
                  onChange={(e) => setLabels(labels.with(i, { ...label, key: e.currentTarget.value }))}
                />
                <TextInput
                  aria-label={t.value}
                  placeholder={t.value}
                  value={label.value}
                  onChange={(e) => setLabels(labels.with(i, { ...label, value: e.currentTarget.value }))}
                />
                <ActionIcon
                  aria-label={`${t.removeLabel} ${label.key}`}
                  onClick={() => setLabels(labels.filter((l) => l !== label))}
                >
                  <Icon name="close" size={14} />
                </ActionIcon>
              </div>
            ))}
            {duplicate && <p role="alert">{t.duplicate}</p>}
            <Button
              size="compact-xs"
              variant="subtle"
              leftSection={<Icon name="plus" size={12} />}
              onClick={() =>
                setLabels([
                  ...labels,
                  { id: Math.max(-1, ...labels.map((l) => l.id)) + 1, key: '', value: '' },
                ])
              }
            >
              {t.addLabel}
            </Button>
          </fieldset>
          <Group justify="flex-end" gap="xs">
            <Button variant="default" onClick={onClose}>
              {t.cancel}
            </Button>
            <Button type="submit" loading={save.isPending} disabled={duplicate !== undefined}>
              {t.save}
            </Button>
          </Group>
        </Stack>
      </form>
    </Dialog>
  );
}
