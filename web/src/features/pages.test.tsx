import { act, fireEvent, screen, waitFor, within } from '@testing-library/react';
import { describe, expect, it, vi } from 'vitest';
import { noteCommand } from '@/features/device/commands';
import { device, fail, openApp } from '@/test/app';

// Their drawing is tested in a browser; here it is what is handed to them that counts.
vi.mock('@/charts/LiveChart', () => ({
  LiveChart: ({ traces, label }: { traces: { label: string }[]; label: string }) => (
    <div role="img" aria-label={label} data-traces={traces.map((t) => t.label).join()} />
  ),
}));
vi.mock('@/charts/HistoryChart', () => ({
  HistoryChart: ({
    traces,
    view,
  }: {
    traces: { label: string; samples: { times: ArrayLike<number> } | null }[];
    view: { kind: string };
  }) => (
    <div
      data-testid="history"
      data-view={view.kind}
      data-points={traces.map((t) => `${t.label}:${t.samples?.times.length ?? 0}`).join()}
    />
  ),
}));

const find = { timeout: 15_000 };
const user = { username: 'admin', role: 'administrator', tenant: 'default', has_password: false };

describe('the way in', () => {
  it('asks for a log-in and comes back to where one was going', async () => {
    let signedIn = false;
    const app = openApp('/devices/pump-1?span=5m', {
      'GET /api/v1/auth/me': () =>
        signedIn
          ? { body: { user: { ...user, has_password: true }, mode: 'closed' } }
          : fail(401, 'unauthenticated', 'sign in first'),
      'POST /api/v1/auth/login': ({ body }) => {
        if ((body as { password: string }).password !== 'right')
          return fail(401, 'unauthenticated', 'user name or password is wrong');
        signedIn = true;
        return { body: { user } };
      },
    });
    const password = await screen.findByLabelText('Password', undefined, find);
    await app.user.type(password, 'wrong{Enter}');
    expect(await screen.findByRole('alert', undefined, find)).toHaveTextContent(
      'User name or password is wrong',
    );
    await app.user.type(password, 'right{Enter}');
    expect(await screen.findByRole('heading', { name: 'Feed pump' }, find)).toBeInTheDocument();
    expect(app.router.state.location.href).toBe('/devices/pump-1?span=5m');
    expect(app.called('POST /api/v1/auth/login').at(-1)!.body).toEqual({
      username: 'admin',
      password: 'right',
      session: true,
    });
  });

  it('exchanges the one-time link once, hides it, and suggests a password', async () => {
    const app = openApp('/welcome#token=secret', {
      'POST /api/v1/auth/link': () => ({ body: { user } }),
      'GET /api/v1/auth/me': () => ({ body: { user, mode: 'closed' } }),
      'PUT /api/v1/auth/password': () => ({ status: 204 }),
    });
    expect(await screen.findByRole('heading', { name: 'Devices' }, find)).toBeInTheDocument();
    expect(app.called('POST /api/v1/auth/link').map((c) => c.body)).toEqual([{ token: 'secret' }]);
    expect(location.hash).toBe('');
    await app.user.click(await screen.findByRole('button', { name: 'Set a password' }));
    const dialog = await screen.findByRole('dialog', undefined, find);
    expect(within(dialog).queryByLabelText('Current password')).toBeNull();
    await app.user.type(within(dialog).getByLabelText('New password'), 'short');
    await app.user.click(within(dialog).getByRole('button', { name: 'Save password' }));
    expect(within(dialog).getByText('At least 8 characters.')).toBeInTheDocument();
    expect(app.called('PUT /api/v1/auth/password')).toHaveLength(0);
    await app.user.type(within(dialog).getByLabelText('New password'), ' and long');
    await app.user.type(within(dialog).getByLabelText('New password again'), 'short and long');
    await app.user.click(within(dialog).getByRole('button', { name: 'Save password' }));
    await waitFor(() =>
      expect(app.called('PUT /api/v1/auth/password').map((c) => c.body)).toEqual([{ new: 'short and long' }]),
    );
    expect(await screen.findByText(/Password saved/)).toBeInTheDocument();
  });

  it('says why a spent link opens nothing', async () => {
    openApp('/welcome#token=old', {
      'POST /api/v1/auth/link': () => fail(401, 'unauthenticated', 'this link was used already'),
    });
    expect(await screen.findByRole('alert', undefined, find)).toHaveTextContent('This link was used already');
    expect(screen.getByRole('link', { name: 'Log in' })).toHaveAttribute('href', '/login');
  });

  it('goes to the log-in when the session ends under way', async () => {
    let signedIn = true;
    const app = openApp('/', {
      'GET /api/v1/system': () =>
        signedIn ? { body: undefined } : fail(401, 'unauthenticated', 'sign in first'),
    });
    await screen.findByRole('heading', { name: 'Devices' }, find);
    signedIn = false;
    await app.queryClient.refetchQueries({ queryKey: ['system'] });
    expect(await screen.findByRole('heading', { name: 'Log in' }, find)).toBeInTheDocument();
  });
});

describe('overview', () => {
  it('shows devices with their readings, and readings as they come', async () => {
    const app = openApp('/', {
      'GET /api/v1/devices': () => ({
        body: {
          devices: [
            {
              ...device('pump-1', { name: 'Feed pump' }),
              latest: { temperature: { value: 21.5, time: new Date().toISOString(), unit: '°C' } },
            },
            { ...device('cold-1', { state: 'silent' }), latest: {} },
          ],
          next: null,
          total: 2,
          facets: { states: { online: 1, silent: 1 }, profiles: {}, labels: { site: { north: 2 } } },
        },
      }),
    });
    const link = await screen.findByRole('link', { name: 'Feed pump' }, find);
    expect(link).toHaveAttribute('href', '/devices/pump-1');
    expect(await screen.findByText('21.5')).toBeInTheDocument();
    app.socket.accept();
    await waitFor(
      () => expect(app.socket.subscription({ devices: ['pump-1', 'cold-1'] })).toBeDefined(),
      find,
    );
    const { id } = app.socket.subscription({ devices: ['pump-1', 'cold-1'] })!;
    app.socket.say({
      op: 'data',
      id,
      data: [{ device: 'pump-1', metrics: { temperature: [[Date.now() + 5, 22.75]] } }],
    });
    expect(await screen.findByText('22.75')).toBeInTheDocument();
    app.socket.say({
      op: 'state',
      id,
      device: 'cold-1',
      state: 'online',
      connected: true,
      last_seen: Date.now(),
    });
    const row = screen.getByRole('link', { name: 'cold-1' }).closest('[role=row]') as HTMLElement;
    await waitFor(() => expect(within(row).getByText('Online')).toBeInTheDocument());
  });

  it('filters at the server, and keeps the filter in the address', async () => {
    const app = openApp('/', {
      'GET /api/v1/devices': ({ query }) => ({
        body: {
          devices: query.get('state') === 'silent' ? [] : [device('a'), device('b')],
          next: null,
          total: query.get('state') === 'silent' ? 0 : 2,
          facets: { states: { online: 2, silent: 1 }, profiles: { pump: 2 }, labels: { site: { north: 2 } } },
        },
      }),
    });
    await screen.findByRole('link', { name: 'a' }, find);
    await app.user.click(screen.getByRole('button', { name: /^Silent/ }));
    expect(await screen.findByText('No device matches.')).toBeInTheDocument();
    expect(app.router.state.location.search).toEqual({ state: 'silent' });
    await app.user.type(screen.getByRole('searchbox'), 'pu');
    await waitFor(() => expect(app.router.state.location.search).toEqual({ state: 'silent', q: 'pu' }), find);
    const last = app.called('GET /api/v1/devices').at(-1)!.query;
    expect([last.get('state'), last.get('q')]).toEqual(['silent', 'pu']);
  });

  it('fetches further pages by cursor until there are no more', async () => {
    const page = (from: number) =>
      Array.from({ length: 40 }, (_, i) => device(`d${String(from + i).padStart(3, '0')}`));
    const app = openApp('/', {
      'GET /api/v1/devices': ({ query }) => ({
        body:
          query.get('cursor') === 'second'
            ? { devices: page(40), next: null, total: 80 }
            : { devices: page(0), next: 'second', total: 80 },
      }),
    });
    await screen.findByRole('link', { name: 'd000' }, find);
    await waitFor(
      () =>
        expect(app.called('GET /api/v1/devices').some((c) => c.query.get('cursor') === 'second')).toBe(true),
      find,
    );
    // Only what is in sight is in the document, however many there are.
    expect(screen.getAllByRole('row').length).toBeLessThan(40);
    expect(app.called('GET /api/v1/devices').filter((c) => c.query.get('cursor') === 'second')).toHaveLength(
      1,
    );
  });

  it('draws this machine first, then what is picked', async () => {
    const app = openApp('/');
    expect(await screen.findByRole('img', { name: 'Live chart of This machine' }, find)).toBeInTheDocument();
    await app.user.click(
      await screen.findByRole('button', { name: 'Show Feed pump in the live chart' }, find),
    );
    const chart = await screen.findByRole('img', { name: 'Live chart of Feed pump' }, find);
    expect(chart).toHaveAttribute('data-traces', 'temperature');
    expect(app.router.state.location.href).toBe('/?on=pump-1');
    await app.user.click(screen.getByRole('button', { name: 'Show This machine in the live chart' }));
    expect(await screen.findByRole('img', { name: 'Live chart of 2 devices' }, find)).toHaveAttribute(
      'data-traces',
      'Feed pump,This machine',
    );
  });

  it('shows the units of a device that the list has not come to', async () => {
    const app = openApp('/', {
      'GET /api/v1/devices': () => ({
        body: { devices: [device('a'), device('b')], next: 'more', total: 300 },
      }),
      'GET /api/v1/devices/this-machine': () => ({
        body: device('this-machine', {
          metrics: [
            { name: 'cpu', type: 'double', unit: '%' },
            { name: 'disk', type: 'double', unit: '%' },
            { name: 'temperature', type: 'double', unit: '°C' },
            { name: 'disk_read', type: 'double', unit: 'B/s' },
            { name: 'disk_free', type: 'double', unit: 'B' },
          ],
        }),
      }),
    });
    await screen.findByRole('heading', { name: 'this-machine' }, find);
    app.socket.accept();
    await waitFor(() => expect(app.socket.subscription({ devices: ['this-machine'] })).toBeDefined());
    const { id } = app.socket.subscription({ devices: ['this-machine'] })!;
    app.socket.say({
      op: 'data',
      id,
      data: [
        {
          device: 'this-machine',
          metrics: {
            cpu: [[Date.now(), 5]],
            temperature: [[Date.now(), 41]],
            disk_read: [[Date.now(), 9]],
            disk_free: [[Date.now(), 71.1e9]],
          },
        },
      ],
    });
    const entry = await screen.findByRole('button', { name: /disk free/ }, find);
    expect(entry).toHaveAttribute('aria-pressed', 'false');
    await waitFor(() => expect(entry).toHaveTextContent('disk free71.1GB'), find);
  });

  it('lists no metric that its profile plans and the device never sent, until it comes', async () => {
    const machine = device('this-machine', {
      metrics: [
        { name: 'cpu', type: 'double', unit: '%' },
        { name: 'temperature', type: 'double', unit: '°C' },
      ],
    });
    const time = new Date().toISOString();
    const app = openApp('/', {
      'GET /api/v1/devices': () => ({
        body: {
          devices: [{ ...machine, latest: { cpu: { value: 5, time, unit: '%' } } }],
          next: null,
          total: 1,
        },
      }),
      'GET /api/v1/devices/this-machine': () => ({ body: machine }),
    });
    const row = (await screen.findByRole('link', { name: 'this-machine' }, find)).closest(
      '[role=row]',
    ) as HTMLElement;
    const chart = await screen.findByRole('img', { name: 'Live chart of this-machine' }, find);
    expect(within(row).getByText('cpu')).toBeInTheDocument();
    expect(chart).toHaveAttribute('data-traces', 'cpu');
    expect(screen.queryByText('temperature')).toBeNull();
    app.socket.accept();
    await waitFor(() => expect(app.socket.subscription({ devices: ['this-machine'] })).toBeDefined());
    const { id } = app.socket.subscription({ devices: ['this-machine'] })!;
    app.socket.say({
      op: 'data',
      id,
      data: [{ device: 'this-machine', metrics: { temperature: [[Date.now(), 41.5]] } }],
    });
    expect(await within(row).findByText('temperature', undefined, find)).toBeInTheDocument();
    await waitFor(() => expect(chart).toHaveAttribute('data-traces', 'cpu,temperature'));
  });

  it('offers profiles and labels in the order that people expect', async () => {
    const app = openApp('/', {
      'GET /api/v1/devices': () => ({
        body: {
          devices: [device('a'), device('b')],
          next: null,
          total: 2,
          facets: {
            states: { online: 2 },
            profiles: { 'pump 10': 1, 'pump 2': 1 },
            labels: { room: { '10': 1, '2': 3, '1': 2 } },
          },
        },
      }),
    });
    await app.user.click(await screen.findByLabelText('Profile', { selector: 'input' }, find));
    expect((await screen.findAllByRole('option')).map((o) => o.textContent)).toEqual(['pump 2', 'pump 10']);
    await app.user.keyboard('{Escape}');
    await app.user.click(screen.getByRole('button', { name: /label/i }));
    expect((await screen.findAllByRole('menuitem')).map((o) => o.textContent)).toEqual([
      'room = 12',
      'room = 23',
      'room = 101',
    ]);
  });

  it('has words for an installation without devices', async () => {
    openApp('/', {
      'GET /api/v1/devices': () => ({ body: { devices: [], next: null, total: 0 } }),
    });
    expect(await screen.findByText(/No devices yet/, undefined, find)).toBeInTheDocument();
    expect(screen.queryByText('No device matches.')).toBeNull();
    expect(screen.getByRole('link', { name: /Connect a device.*first reading/ })).toHaveAttribute(
      'href',
      '/connect',
    );
  });

  it('draws what came before, also when the live connection took its time', async () => {
    const app = openApp('/', {
      'GET /api/v1/query': ({ query }) => {
        if (query.get('window')) return { body: { series: [], next: null } };
        const at = Date.now();
        const points = [30, 20, 10].map((s) => [at - s * 1000, s]);
        return {
          after: 900,
          body: {
            series: [
              {
                device: 'this-machine',
                metric: 'temperature',
                unit: '°C',
                columns: ['time', 'value'],
                points,
              },
            ],
            next: null,
          },
        };
      },
    });
    await waitFor(
      () => expect(app.called('GET /api/v1/query').some((c) => !c.query.get('window'))).toBe(true),
      find,
    );
    await new Promise((resolve) => setTimeout(resolve, 500)); // pace: a socket that is slower than the answer
    app.socket.accept();
    const { id } = app.socket.subscription({ devices: ['this-machine'], interval: '50ms' })!;
    app.socket.say({ op: 'subscribed', id, series: 1 });
    await waitFor(
      () =>
        expect(app.live.store.series('this-machine', 'temperature').ring.length).toBeGreaterThanOrEqual(3),
      find,
    );
    // And the time until then was asked for beside it.
    await waitFor(() => {
      const raw = app.called('GET /api/v1/query').filter((c) => !c.query.get('window'));
      expect(raw.length).toBe(2);
      expect(Date.parse(raw[1]!.query.get('from')!)).toBeGreaterThan(Date.now() - 20_000);
    }, find);
  });

  it('invites to connect or to start the demo while this machine is alone', async () => {
    let started = false;
    const app = openApp('/', {
      'GET /api/v1/devices': () => ({ body: { devices: [device('this-machine')], next: null, total: 1 } }),
      'GET /api/v1/demo': () => ({
        body: { installed: started, running: started, devices: started ? 50 : 0 },
      }),
      'POST /api/v1/demo': () => {
        started = true;
        return { status: 202, body: { installed: true, running: true, devices: 50 } };
      },
    });
    await app.user.click(await screen.findByRole('button', { name: /Start the demo site/ }, find));
    expect(await screen.findByText('Demo site: 50 devices', undefined, find)).toBeInTheDocument();
  });

  it('removes the demo after asking, and offers to start it again', async () => {
    let installed = true;
    const app = openApp('/', {
      'GET /api/v1/demo': () => ({ body: { installed, running: installed, devices: installed ? 50 : 0 } }),
      'DELETE /api/v1/demo': () => {
        installed = false;
        return { status: 204 };
      },
    });
    await app.user.click(await screen.findByRole('button', { name: 'Remove the demo' }, find));
    expect(app.called('DELETE /api/v1/demo')).toHaveLength(0);
    await app.user.click(
      within(await screen.findByRole('dialog')).getByRole('button', { name: 'Remove the demo' }),
    );
    expect(await screen.findByRole('button', { name: 'Start it again' }, find)).toBeInTheDocument();
    expect(app.called('DELETE /api/v1/demo')).toHaveLength(1);
    await waitFor(() => expect(screen.queryByText(/Demo site: 50/)).toBeNull());
  });
});

describe('device', () => {
  const points = [
    [1000, 1, 2, 3],
    [2000, 2, 3, 4],
  ];
  const history = () => ({
    body: {
      series: [
        {
          device: 'pump-1',
          metric: 'temperature',
          unit: '°C',
          columns: ['time', 'min', 'mean', 'max'],
          points,
        },
      ],
      next: null,
    },
  });

  it('asks for least, mean and greatest in windows that fit the chart', async () => {
    const app = openApp('/devices/pump-1', { 'GET /api/v1/query': history });
    await waitFor(
      () => expect(screen.getByTestId('history')).toHaveAttribute('data-points', 'temperature:2'),
      find,
    );
    const asked = app.called('GET /api/v1/query').find((c) => c.query.get('window'))!.query;
    expect(asked.get('aggregate')).toBe('min,mean,max');
    expect(asked.get('window')).toBe('10s');
    expect(screen.getByTestId('history')).toHaveAttribute('data-view', 'tail');
    await app.user.click(screen.getByRole('radio', { name: '24h' }));
    await waitFor(() => expect(app.called('GET /api/v1/query').at(-1)!.query.get('window')).toBe('5m'), find);
    expect(app.router.state.location.search).toEqual({ span: '1d' });
  });

  it('shows a token once, and revokes after asking', async () => {
    let list: object[] = [];
    const credential = {
      id: 'c1',
      kind: 'token',
      created_at: '2026-01-01T00:00:00Z',
      last_used_at: null,
      expires_at: null,
    };
    const app = openApp('/devices/pump-1?tab=credentials', {
      'GET /api/v1/devices/pump-1/credentials': () => ({ body: { credentials: list } }),
      'POST /api/v1/devices/pump-1/credentials': () => {
        list = [credential];
        return { status: 201, body: { ...credential, token: 'fgd_once' } };
      },
      'DELETE /api/v1/devices/pump-1/credentials/c1': () => {
        list = [];
        return { status: 204 };
      },
    });
    await app.user.click(await screen.findByRole('button', { name: 'Create a token' }, find));
    expect(await screen.findByText('fgd_once', undefined, find)).toBeInTheDocument();
    await app.user.click(screen.getByRole('button', { name: 'I have copied it' }));
    await waitFor(() => expect(screen.queryByText('fgd_once')).toBeNull());
    await app.user.click(await screen.findByRole('button', { name: 'Revoke' }));
    await app.user.click(within(await screen.findByRole('dialog')).getByRole('button', { name: 'Revoke' }));
    expect(await screen.findByText('The token is revoked.')).toBeInTheDocument();
    expect(await screen.findByText(/No credentials/)).toBeInTheDocument();
  });

  it('saves what was edited, and takes it back', async () => {
    const app = openApp('/devices/pump-1', {
      'GET /api/v1/devices/pump-1': () => ({
        body: device('pump-1', { name: 'Feed pump', labels: { site: 'north' } }),
      }),
      'PATCH /api/v1/devices/pump-1': ({ body }) => ({
        body: device('pump-1', { ...(body as object), labels: { site: 'south' } }),
      }),
    });
    await app.user.click(await screen.findByRole('button', { name: 'Edit' }, find));
    const dialog = await screen.findByRole('dialog');
    const name = within(dialog).getByLabelText('Name');
    await app.user.clear(name);
    await app.user.type(name, 'Booster');
    const value = within(dialog).getByLabelText('Value');
    await app.user.clear(value);
    await app.user.type(value, 'south');
    await app.user.click(within(dialog).getByRole('button', { name: 'Save' }));
    expect(await screen.findByRole('heading', { name: 'Booster' }, find)).toBeInTheDocument();
    await app.user.click(screen.getByRole('button', { name: 'Undo' }));
    await waitFor(() => expect(app.called('PATCH /api/v1/devices/pump-1')).toHaveLength(2));
    expect(app.called('PATCH /api/v1/devices/pump-1').map((c) => c.body)).toEqual([
      { name: 'Booster', profile: null, labels: { site: 'south' } },
      { name: 'Feed pump', profile: null, labels: { site: 'north' } },
    ]);
  });

  it('deletes only what was named', async () => {
    const app = openApp('/devices/pump-1', { 'DELETE /api/v1/devices/pump-1': () => ({ status: 204 }) });
    await app.user.click(await screen.findByRole('button', { name: 'More' }, find));
    await app.user.click(await screen.findByRole('menuitem', { name: 'Delete device' }));
    const dialog = await screen.findByRole('dialog');
    const confirm = within(dialog).getByRole('button', { name: 'Delete device' });
    await app.user.type(within(dialog).getByRole('textbox'), 'pump-');
    expect(confirm).toBeDisabled();
    await app.user.type(within(dialog).getByRole('textbox'), '1');
    await app.user.click(confirm);
    expect(await screen.findByRole('heading', { name: 'Devices' }, find)).toBeInTheDocument();
    expect(app.called('DELETE /api/v1/devices/pump-1')).toHaveLength(1);
  });

  it('follows a command from the button to its answer, and guesses nothing', async () => {
    const base = {
      id: 'c-1',
      device: 'pump-1',
      name: 'set_speed',
      payload: { rpm: 1200 },
      response: true,
      sender: 'admin',
      state: 'queued',
      finished: false,
      created_at: '2026-01-01T00:00:00Z',
      expires_at: '2026-01-01T00:05:00Z',
      sent_at: null,
      delivered_at: null,
      finished_at: null,
      deliveries: 0,
      result: null,
      reason: null,
    };
    let commands: object[] = [];
    const app = openApp('/devices/pump-1', {
      'GET /api/v1/devices/pump-1': () => ({ body: device('pump-1', { profile: 'pump' }) }),
      'GET /api/v1/profiles': () => ({
        body: {
          profiles: [{ profile: 'pump', commands: [{ name: 'set_speed', example: { rpm: 1200 } }] }],
          next: null,
        },
      }),
      'GET /api/v1/commands': () => ({ body: { commands, next: null } }),
      'POST /api/v1/commands': () => {
        commands = [base];
        return { status: 202, body: { commands } };
      },
    });
    const state = await screen.findByTestId('command-state', undefined, find);
    const name = await screen.findByPlaceholderText('set_speed', undefined, find);
    fireEvent.change(name, { target: { value: 'set_speed' } });
    expect(screen.getByLabelText('Payload (JSON)')).toHaveValue('{"rpm":1200}');
    fireEvent.click(screen.getByText('Send'));
    await waitFor(() => expect(state).toHaveTextContent('Queuedwaits until the device takes commands'), find);
    expect(app.called('POST /api/v1/commands')[0]!.body).toMatchObject({
      device: 'pump-1',
      name: 'set_speed',
      payload: { rpm: 1200 },
      ttl: '5m',
    });
    expect(screen.getByText('Cancel')).toBeInTheDocument();

    const now = '2026-01-01T00:00:01Z';
    const steps = [
      [{ state: 'sent', sent_at: now, deliveries: 1 }, 'Sent'],
      [{ state: 'delivered', sent_at: now, delivered_at: now, deliveries: 1 }, 'Delivered'],
      [
        {
          state: 'failed',
          sent_at: now,
          delivered_at: now,
          finished_at: now,
          finished: true,
          deliveries: 1,
          reason: 'a bearing is too hot',
        },
        'Failedafter 1.0 sa bearing is too hot',
      ],
      // An older look that comes late changes nothing.
      [{ state: 'sent', sent_at: now, deliveries: 1 }, 'Failedafter 1.0 sa bearing is too hot'],
    ] as const;
    for (const [change, text] of steps) {
      act(() => noteCommand(app.queryClient, { ...base, ...change } as never));
      await waitFor(() => expect(state).toHaveTextContent(text), find);
    }
    expect(screen.queryByText('Cancel')).toBeNull();
  });

  it('waits with words, and offers to ask again', async () => {
    let calls = 0;
    openApp('/devices/slow', {
      'GET /api/v1/devices/slow': () => {
        calls += 1;
        return { body: device('slow'), after: calls === 1 ? 60_000 : 0 };
      },
    });
    expect(await screen.findByText('Loading slow …', undefined, find)).toBeInTheDocument();
    expect(await screen.findByText('The server does not answer yet.', undefined, find)).toBeInTheDocument();
    fireEvent.click(screen.getByRole('button', { name: 'Try again' }));
    expect(await screen.findByRole('heading', { name: 'slow' }, find)).toBeInTheDocument();
  });

  it('says when there is no such device', async () => {
    openApp('/devices/nobody', {
      'GET /api/v1/devices/nobody': () => fail(404, 'not_found', 'no device "nobody"'),
    });
    expect(
      await screen.findByRole('heading', { name: 'There is no device “nobody”' }, find),
    ).toBeInTheDocument();
  });

  it('shows refused readings with their reason', async () => {
    openApp('/devices/pump-1?tab=refused', {
      'GET /api/v1/dead-letters': () => ({
        body: {
          dead_letters: [
            {
              id: '1',
              time: '2026-01-01T00:00:00Z',
              received_at: '2026-01-02T12:34:56Z',
              device: 'pump-1',
              metric: 'temperature',
              value: 412,
              reason: 'out_of_range',
              message: 'temperature is 412 °C; allowed are -40 to 150',
              source: { partition: 1, offset: 2 },
            },
            {
              id: 'm0-1-1',
              time: null,
              received_at: '2026-01-02T12:34:50Z',
              device: 'pump-1',
              metric: null,
              value: null,
              reason: 'invalid_payload',
              message: 'not JSON at byte offset 5',
              source: null,
              client: 'pump client',
              topic: 'v1/telemetry',
              payload: '{"a":…',
              payload_bytes: 1200,
            },
          ],
          next: null,
        },
      }),
    });
    const row = (await screen.findByText('out of range', undefined, find)).closest('tr')!;
    expect(row).toHaveTextContent('412');
    // First when it came, then what time it claims.
    const cells = within(row).getAllByRole('cell');
    expect(cells[0]).toHaveTextContent('2 Jan 2026');
    expect(cells[1]).toHaveTextContent(/1 Jan 2026|31 Dec 2025/);
    expect(screen.queryByText(/rule of the profile/)).toBeNull();
    expect(row).toHaveTextContent('allowed are -40 to 150');
    const message = screen.getByText('invalid payload').closest('tr')!;
    expect(message).toHaveTextContent('pump client to v1/telemetry: {"a":… (1,200 bytes)');
  });
});

describe('connect', () => {
  const connection = {
    device: device('my-device', { state: 'never', metrics: [] }),
    credential: { id: 'c', token: 'fgd_tok' },
    mqtt: {
      host: 'h',
      port: 1883,
      username: 'my-device',
      password: 'fgd_tok',
      topic: 'v1/devices/my-device/telemetry',
    },
    http: { url: 'http://h/api/v1/telemetry' },
    snippets: [
      { name: 'mosquitto_pub', protocol: 'mqtt', text: 'mosquitto_pub -P fgd_tok' },
      { name: 'curl', protocol: 'http', text: "curl -H 'Authorization: Bearer fgd_tok'" },
    ],
  };
  const trace = (stage: string, ok: boolean, message: string) => ({
    time: new Date().toISOString(),
    stage,
    ok,
    message,
    peer: '127.0.0.1:5',
    protocol: 'mqtt',
  });

  it('gives one line to copy, shows a refusal with its reason, then the first reading', async () => {
    const app = openApp('/connect', { 'POST /api/v1/connect': () => ({ status: 201, body: connection }) });
    await waitFor(() => expect(screen.getByLabelText('Device id')).toHaveValue('my-device'), find);
    await app.user.click(screen.getByRole('button', { name: 'Get the line to copy' }));
    expect(await screen.findByText('mosquitto_pub -P fgd_tok', undefined, find)).toBeInTheDocument();
    const written = vi.spyOn(navigator.clipboard, 'writeText');
    await app.user.click(screen.getByRole('radio', { name: 'curl' }));
    await app.user.click(screen.getByRole('button', { name: 'Copy the line' }));
    expect(written).toHaveBeenCalledWith("curl -H 'Authorization: Bearer fgd_tok'");
    expect(await screen.findByText('Copied')).toBeInTheDocument();

    app.socket.accept();
    await waitFor(() => expect(app.socket.subscription({ trace: 'my-device' })).toBeDefined());
    const { id } = app.socket.subscription({ trace: 'my-device' })!;
    app.socket.say({
      op: 'trace',
      id,
      event: { ...trace('auth', false, 'An old mistake.'), time: '2025-12-31T23:59:59.9Z' },
    });
    app.socket.say({ op: 'trace', id, event: trace('connect', true, 'A device opened a connection.') });
    app.socket.say({ op: 'trace', id, event: trace('auth', false, 'The token is not known.') });
    expect(await screen.findByRole('alert')).toHaveTextContent(
      'Refused: Credential. The token is not known.',
    );
    expect(screen.queryByText('An old mistake.')).toBeNull();
    app.socket.say({ op: 'trace', id, event: trace('auth', true, 'Good.') });
    app.socket.say({ op: 'trace', id, event: trace('reading', true, 'temperature = 21.5') });
    expect(await screen.findByText('It works.')).toBeInTheDocument();
    expect(screen.queryByRole('alert')).toBeNull();
    expect(screen.getByRole('link', { name: 'Open the device' })).toHaveAttribute(
      'href',
      '/devices/my-device?span=5m',
    );
  });

  it('refuses a name that no device may have, and shows what the server refuses', async () => {
    const app = openApp('/connect', {
      'POST /api/v1/connect': () => fail(429, 'exhausted', 'no more than 50 devices'),
    });
    const name = await screen.findByLabelText('Device id', undefined, find);
    await waitFor(() => expect(name).toHaveValue('my-device'), find);
    await app.user.type(name, '/x');
    expect(screen.getByText(/Without/)).toBeInTheDocument();
    expect(screen.getByRole('button', { name: 'Get the line to copy' })).toBeDisabled();
    await app.user.type(name, '{Backspace}{Backspace}{Enter}');
    expect(await screen.findByRole('alert', undefined, find)).toHaveTextContent('No more than 50 devices');
  });
});

describe('the frame', () => {
  it('stays where an address names nothing', async () => {
    openApp('/nowhere/at/all');
    expect(await screen.findByRole('heading', { name: 'There is nothing here' }, find)).toBeInTheDocument();
    expect(screen.getByRole('contentinfo')).toBeInTheDocument();
    expect(screen.getByRole('button', { name: 'Appearance' })).toBeInTheDocument();
  });

  it('says how the live connection is', async () => {
    const app = openApp('/');
    await screen.findByRole('heading', { name: 'Devices' }, find);
    app.socket.accept();
    const bar = screen.getByRole('contentinfo');
    await waitFor(() => expect(within(bar).getAllByText('Live').length).toBeGreaterThan(0));
    app.socket.drop();
    await waitFor(() => expect(within(bar).getByRole('status')).toHaveTextContent('Offline'));
    expect(within(bar).getByText('v1.2.3')).toBeInTheDocument();
    await app.user.click(within(bar).getByRole('button', { name: 'Now' }));
    await waitFor(() => expect(within(bar).getByRole('status')).toHaveTextContent('Connecting'));
  });

  it('leaves nothing looking live while the server is not heard, and is itself again afterwards', async () => {
    const app = openApp('/');
    const row = (await screen.findByRole('link', { name: 'Feed pump' }, find)).closest(
      '[role=row]',
    ) as HTMLElement;
    app.socket.accept();
    expect(await within(row).findByText('Online')).toBeInTheDocument();
    expect(screen.queryByText('Connection lost')).toBeNull();
    app.socket.drop();
    const banner = (await screen.findByText('Connection lost', undefined, find)).closest('[role=alert]')!;
    expect(banner).toHaveTextContent(/since \d\d:\d\d:\d\d .*Trying again in 1 s/);
    expect(within(row).getByText('Was online')).toBeInTheDocument();
    expect(screen.queryByText(/readings\/s/)).toBeNull();
    expect(screen.getByRole('contentinfo')).not.toHaveTextContent('up 1 min');
    const asked = app.called('GET /api/v1/devices').length;
    await app.user.click(within(banner as HTMLElement).getByRole('button', { name: 'Try now' }));
    app.socket.accept();
    await waitFor(() => expect(screen.queryByText('Connection lost')).toBeNull());
    expect(within(row).getByText('Online')).toBeInTheDocument();
    await waitFor(() => expect(app.called('GET /api/v1/devices').length).toBeGreaterThan(asked), find);
  });

  it('finds devices and commands by keyboard', async () => {
    const app = openApp('/');
    await screen.findByRole('heading', { name: 'Devices' }, find);
    await app.user.keyboard('{Control>}k{/Control}');
    const field = await screen.findByRole('combobox', { name: 'Search devices and commands' }, find);
    await app.user.type(field, 'pump');
    await waitFor(() => expect(screen.getAllByRole('option')).toHaveLength(1), find);
    await app.user.keyboard('{Enter}');
    expect(await screen.findByRole('heading', { name: 'Feed pump' }, find)).toBeInTheDocument();
  });

  it('logs out', async () => {
    const app = openApp('/');
    await screen.findByRole('heading', { name: 'Devices' }, find);
    await app.user.click(screen.getByRole('button', { name: 'Account' }));
    await app.user.click(await screen.findByRole('menuitem', { name: 'Log out' }));
    expect(await screen.findByRole('heading', { name: 'Log in' }, find)).toBeInTheDocument();
    expect(app.called('POST /api/v1/auth/logout')).toHaveLength(1);
    expect(app.live.client.status.kind).toBe('idle');
  });
});
