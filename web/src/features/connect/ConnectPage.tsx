import { Button, SegmentedControl, Select, TextInput } from '@mantine/core';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { Link, useSearch } from '@tanstack/react-router';
import { type ReactNode, useEffect, useState } from 'react';
import { api, messageOf, type Schemas, take } from '@/api/client';
import { queries } from '@/api/queries';
import { parseTime } from '@/lib/time';
import { CopyButton } from '@/ui/CopyButton';
import { Icon } from '@/ui/icons';
import { Notice } from '@/ui/Notice';
import { Secret } from '@/ui/Secret';
import classes from './ConnectPage.module.css';
import { TracePane } from './TracePane';
import { texts } from './texts';
import { isDeviceId, suggestName } from './trace';

function Step({
  n,
  title,
  done,
  children,
}: {
  n: number;
  title: string;
  done?: boolean;
  children: ReactNode;
}) {
  return (
    <section className={classes.step} data-done={done || undefined}>
      <span className={classes.number} aria-hidden="true">
        {done ? <Icon name="check" size={14} /> : n}
      </span>
      <h2>{title}</h2>
      <div className={classes.content}>{children}</div>
    </section>
  );
}

function Settings({ connection }: { connection: Schemas['Connection'] }) {
  const { mqtt, http } = connection;
  const rows: [string, string][] = [
    [`MQTT ${texts.host}`, `${mqtt.host}:${mqtt.port}`],
    [texts.username, mqtt.username],
    [texts.password, mqtt.password],
    [texts.topic, mqtt.topic],
    [`HTTP ${texts.url}`, http.url],
    [texts.header, `Authorization: Bearer ${connection.credential.token}`],
  ];
  return (
    <details className={classes.settings}>
      <summary>{texts.settings}</summary>
      <dl>
        {rows.map(([label, value]) => (
          <div key={label}>
            <dt>{label}</dt>
            <dd>
              <code>{value}</code>
            </dd>
          </div>
        ))}
      </dl>
    </details>
  );
}

export function ConnectPage() {
  const { device: given } = useSearch({ from: '/inside/connect' });
  const client = useQueryClient();
  const [name, setName] = useState(given ?? '');
  const [profile, setProfile] = useState<string | null>(null);
  const [snippet, setSnippet] = useState(0);
  const profiles = useQuery(queries.profiles());
  const taken = useQuery(queries.deviceSearch('my-device'));
  const match = useQuery({ ...queries.deviceSearch(name.trim()), enabled: name.trim().length > 0 });
  const exists = match.data?.devices.some((d) => d.device === name.trim()) ?? false;
  const connect = useMutation({
    mutationFn: () =>
      take(
        api.POST('/api/v1/connect', {
          body: { device: name.trim(), ...(profile && !exists ? { profile } : {}) },
        }),
      ),
    onSuccess: () => client.invalidateQueries({ queryKey: ['devices'] }),
  });
  const made = connect.data;

  useEffect(() => {
    if (!given && taken.data)
      setName((old) => old || suggestName((n) => taken.data.devices.some((d) => d.device === n)));
  }, [given, taken.data]);

  const valid = isDeviceId(name.trim());
  const chosen = made?.snippets[Math.min(snippet, (made?.snippets.length ?? 1) - 1)];
  return (
    <div className={classes.page}>
      <header>
        <Link to="/" className={classes.back}>
          <Icon name="left" size={14} /> {texts.back}
        </Link>
        <h1>{texts.title}</h1>
      </header>
      <div className={classes.columns}>
        <div>
          <Step n={1} title={texts.step1} done={made !== undefined}>
            {made ? (
              <p>
                <code>{made.device.device}</code>
              </p>
            ) : (
              <form
                className={classes.form}
                onSubmit={(event) => {
                  event.preventDefault();
                  if (valid) connect.mutate();
                }}
              >
                <TextInput
                  size="sm"
                  label={texts.name}
                  description={texts.nameHelp}
                  value={name}
                  onChange={(e) => setName(e.currentTarget.value)}
                  error={name && !valid ? texts.badName : null}
                  autoComplete="off"
                  spellCheck={false}
                  autoFocus
                />
                {exists ? (
                  <p className={classes.quiet}>{texts.existing(name.trim())}</p>
                ) : (
                  (profiles.data?.length ?? 0) > 0 && (
                    <Select
                      size="sm"
                      label={texts.profile}
                      placeholder={texts.noProfile}
                      data={(profiles.data ?? []).map((p) => ({
                        value: p.profile,
                        label: p.name ?? p.profile,
                      }))}
                      value={profile}
                      onChange={setProfile}
                      clearable
                      clearButtonProps={{ 'aria-label': 'No profile' }}
                    />
                  )
                )}
                {connect.error && (
                  <Notice tone="bad" icon="alert">
                    {messageOf(connect.error)}
                  </Notice>
                )}
                <Button type="submit" size="sm" disabled={!valid} loading={connect.isPending}>
                  {texts.make}
                </Button>
              </form>
            )}
          </Step>
          <Step n={2} title={texts.step2}>
            {made && chosen ? (
              <div className={classes.form}>
                <SegmentedControl
                  aria-label="Tool"
                  size="xs"
                  value={chosen.name}
                  onChange={(value) => setSnippet(made.snippets.findIndex((s) => s.name === value))}
                  data={made.snippets.map((s) => s.name)}
                />
                <Secret text={chosen.text} label={texts.step2} />
                <div className={classes.copy}>
                  <CopyButton text={chosen.text} label={texts.copy} />
                  <span className={classes.quiet}>{texts.once}</span>
                </div>
                <Settings connection={made} />
              </div>
            ) : (
              <p className={classes.quiet}>{texts.wrap}</p>
            )}
          </Step>
        </div>
        <Step n={3} title={texts.step3}>
          {made ? (
            <TracePane
              device={made.device.device}
              since={parseTime(made.device.created_at)}
              onAnother={() => {
                connect.reset();
                setName('');
                taken
                  .refetch()
                  .then(({ data }) =>
                    setName(suggestName((n) => data?.devices.some((d) => d.device === n) ?? false)),
                  );
              }}
            />
          ) : (
            <p className={classes.quiet}>{texts.before}</p>
          )}
        </Step>
      </div>
    </div>
  );
}
