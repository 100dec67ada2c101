import { Button, Group, Stack } from '@mantine/core';
import { useState } from 'react';
import { Dialog } from '@/ui/Dialog';
import { Notice } from '@/ui/Notice';
import { texts } from './texts';
import { useDemo } from './useDemo';

export function DemoBanner() {
  const { demo, remove } = useDemo();
  const [asking, ask] = useState(false);
  if (!demo?.installed) return null;
  return (
    <>
      <Notice
        icon="spark"
        actions={
          <Button size="compact-xs" variant="default" onClick={() => ask(true)} loading={remove.isPending}>
            {texts.remove}
          </Button>
        }
      >
        <b>{demo.running ? texts.banner(demo.devices) : texts.starting}</b> {demo.running && texts.bannerHint}
      </Notice>
      {asking && (
        <Dialog onClose={() => ask(false)} title={texts.removeTitle} size="sm">
          <Stack gap="md">
            <p>{texts.removeText(demo.devices)}</p>
            <Group justify="flex-end" gap="xs">
              <Button variant="default" onClick={() => ask(false)}>
                {texts.cancel}
              </Button>
              <Button
                color="red"
                data-autofocus
                onClick={() => {
                  ask(false);
                  remove.mutate();
                }}
              >
                {texts.remove}
              </Button>
            </Group>
          </Stack>
        </Dialog>
      )}
    </>
  );
}
