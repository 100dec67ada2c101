import { Autocomplete, Button, Loader, Select, TextInput } from '@mantine/core';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useEffect, useMemo, useState } from 'react';
import { ApiError, api, type Device, messageOf, take } from '@/api/client';
import { queries } from '@/api/queries';
import { formatClock, formatMoment, parseTime } from '@/lib/time';
import { useLive } from '@/live/live';
import { Icon } from '@/ui/icons';
import { Age } from '@/ui/Live';
import { toast } from '@/ui/toasts';
import classes from './CommandsPanel.module.css';
import { type Command, isPending, noteCommand, parsePayload, STEPS, stepOf, withCommand } from './commands';
import { texts } from './texts';

const t = texts.commands;
const TIMES = ['1m', '5m', '1h', '1d'];

/** Where one command is: the steps it has taken, with their times, and how it ended. */
function Progress({ command }: { command: Command }) {
  const reached = stepOf(command);
  const times = [command.created_at, command.sent_at, command.delivered_at, command.finished_at];
  const steps = command.response ? STEPS : STEPS.slice(0, 3);
  return (
    <span className={classes.progress} data-state={command.state} data-finished={command.finished}>
      <span className={classes.steps} aria-hidden="true">
        {steps.map((step, i) => (
          <i
            key={step}
            data-on={i <= reached}
            title={
              i <= reached && times[i]
                ? `${t.steps[step]} ${formatClock(parseTime(times[i]), true)}`
                : undefined
            }
          />
        ))}
      </span>
      <b>{t.states[command.state]}</b>
      {command.finished_at && command.sent_at && (
        <span className={classes.took}>
          {t.took(parseTime(command.finished_at) - parseTime(command.created_at))}
        </span>
      )}
      {isPending(command) && <span className={classes.note}>{t.waiting[command.state] ?? ''}</span>}
      {command.reason && <span className={classes.note}>{command.reason}</span>}
      {command.state === 'succeeded' && command.result !== null && (
        <code className={classes.result}>{JSON.stringify(command.result)}</code>
      )}
    </span>
  );
}

export function CommandsPanel({ device }: { device: Device }) {
  const id = device.device;
  const client = useQueryClient();
  const { client: live } = useLive();
  const me = useQuery(queries.me());
  const profiles = useQuery({ ...queries.profiles(), enabled: device.profile !== null });
  const list = useQuery({
    ...queries.commands(id),
    // Changes come by the live connection; this is for what it may miss while it is away.
    refetchInterval: ({ state }) => (state.data?.commands.some(isPending) ? 2000 : 30_000),
  });
  const [name, setName] = useState('');
  const [payload, setPayload] = useState('');
  const [ttl, setTtl] = useState('5m');
  const [sent, setSent] = useState<string | null>(null);

  useEffect(() => {
    const subscription = live.subscribe(
      { events: true },
      {
        event: (event) => {
          if (event.device === id && (event.type as string) === 'command')
            noteCommand(client, event.details as unknown as Command);
        },
      },
    );
    return () => subscription.close();
  }, [live, client, id]);

  const known = useMemo(
    () => profiles.data?.find((p) => p.profile === device.profile)?.commands ?? [],
    [profiles.data, device.profile],
  );
  const commands = list.data?.commands ?? [];
  const names = useMemo(
    () => [...new Set([...known.map((c) => c.name), ...(list.data?.commands ?? []).map((c) => c.name)])],
    [known, list.data],
  );
  const parsed = parsePayload(payload);
  const chosen = known.find((c) => c.name === name);

  const send = useMutation({
    mutationFn: (body: { name: string; payload: unknown; ttl: string; key: string }) =>
      take(api.POST('/api/v1/commands', { body: { device: id, response: true, ...body } })),
    onSuccess: ({ commands: made }) => {
      const command = made[0]!;
      setSent(command.id);
      client.setQueryData(queries.commands(id).queryKey, (old) => withCommand(old, command));
    },
  });
  const cancel = useMutation({
    mutationFn: (command: string) =>
      take(api.POST('/api/v1/commands/{id}/cancel', { params: { path: { id: command } } })),
    onSuccess: (command) => noteCommand(client, command),
    onError: (error) => {
      toast(messageOf(error), { tone: 'bad' });
      client.invalidateQueries({ queryKey: queries.commands(id).queryKey });
    },
  });

  const choose = (next: string) => {
    setName(next);
    const example = known.find((c) => c.name === next)?.example;
    if (next !== name && (example !== undefined || known.some((c) => c.name === name)))
      setPayload(example === undefined ? '' : JSON.stringify(example));
  };
  const error = send.error;
  const fieldError = (field: string) =>
    error instanceof ApiError && error.field === field ? error.message : null;
  const last = sent === null ? undefined : commands.find((c) => c.id === sent);
  const may = me.data === undefined || me.data.user.role !== 'viewer';

  return (
    <section className={classes.root} aria-label={t.title}>
      <h2>{t.title}</h2>
      {may && (
        <form
          className={classes.form}
          onSubmit={(event) => {
            event.preventDefault();
            if (name.trim() === '' || 'error' in parsed || send.isPending) return;
            setSent(null);
            send.mutate({ name: name.trim(), payload: parsed.value, ttl, key: crypto.randomUUID() });
          }}
        >
          <Autocomplete
            size="xs"
            label={t.name}
            placeholder={known[0]?.name ?? t.namePlaceholder}
            data={names}
            value={name}
            onChange={choose}
            maxLength={128}
            error={fieldError('name')}
          />
          <TextInput
            className={classes.payload}
            label={t.payload}
            placeholder={t.payloadPlaceholder}
            value={payload}
            onChange={(event) => setPayload(event.currentTarget.value)}
            error={'error' in parsed ? t.badPayload : fieldError('payload')}
            spellCheck={false}
          />
          <Select
            className={classes.ttl}
            label={t.ttl}
            data={TIMES}
            value={ttl}
            onChange={(value) => setTtl(value ?? '5m')}
            allowDeselect={false}
          />
          <Button type="submit" loading={send.isPending} disabled={name.trim() === '' || 'error' in parsed}>
            {t.send}
          </Button>
          <output className={classes.now} aria-live="polite" data-testid="command-state">
            {send.isPending && <span className={classes.note}>{t.sending}</span>}
            {error && !fieldError('name') && !fieldError('payload') && (
              <span className={classes.bad}>{messageOf(error)}</span>
            )}
            {!send.isPending && last && <Progress command={last} />}
            {!send.isPending && !error && !last && chosen?.description && (
              <span className={classes.note}>{chosen.description}</span>
            )}
          </output>
        </form>
      )}
      {list.isPending && <Loader size="sm" m="md" />}
      {list.error && (
        <p className={classes.bad} role="alert">
          {messageOf(list.error)}
        </p>
      )}
      {list.data && commands.length === 0 && <p className={classes.none}>{t.none}</p>}
      {commands.length > 0 && (
        <ul className={classes.history} aria-label={t.history}>
          {commands.map((command) => (
            <li key={command.id}>
              <span className={classes.what}>
                <b>{command.name}</b>
                {command.payload !== null && <code>{JSON.stringify(command.payload)}</code>}
              </span>
              <Progress command={command} />
              <span className={classes.who}>
                {command.sender},{' '}
                <time
                  dateTime={String(command.created_at)}
                  title={`${formatMoment(parseTime(command.created_at))}, ${command.id}`}
                >
                  <Age time={() => parseTime(command.created_at)} />
                </time>
                {may && command.state === 'queued' && (
                  <Button
                    size="compact-xs"
                    variant="subtle"
                    color="red"
                    leftSection={<Icon name="close" size={12} />}
                    loading={cancel.isPending && cancel.variables === command.id}
                    onClick={() => cancel.mutate(command.id)}
                  >
                    {t.cancel}
                  </Button>
                )}
              </span>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}
