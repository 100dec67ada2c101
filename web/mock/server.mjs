// A stand-in for the gateway that speaks contracts/openapi.json with made-up devices: for working on the page and its browser tests.
//   node mock/server.mjs [--port 8080] [--devices 10000] [--no-demo] [--first-run] [--open]
import { createHash, randomBytes } from 'node:crypto';
import { createReadStream, existsSync, readFileSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { WebSocketServer } from 'ws';
import { World } from './world.mjs';

const { values: flags } = parseArgs({
  options: {
    port: { type: 'string', default: '8080' },
    devices: { type: 'string', default: '0' },
    'no-demo': { type: 'boolean', default: false },
    'first-run': { type: 'boolean', default: false },
    open: { type: 'boolean', default: false },
  },
});

const here = fileURLToPath(new URL('.', import.meta.url));
const dist = join(here, '../dist');
const world = new World({ devices: Number(flags.devices), demo: !flags['no-demo'] });
const started = Date.now();
let password = flags['first-run'] ? null : 'fluxgate';
const linkToken = 'first-link';
let linkSpent = !flags['first-run'];
const sessions = new Set();
const ingestKeys = [];
const live = new Set();

const user = () => ({
  username: 'admin',
  role: 'administrator',
  tenant: 'default',
  has_password: password !== null,
});

class Failure extends Error {
  constructor(status, code, message, field) {
    super(message);
    Object.assign(this, { status, code, field });
  }
}
const missing = (what) => new Failure(404, 'not_found', `no ${what}`);
const wrong = (message, field) => new Failure(400, 'invalid_argument', message, field);

const UNIT = { ns: 1e-6, us: 1e-3, ms: 1, s: 1000, m: 60000, h: 3600000, d: 86400000, w: 604800000 };
function duration(text, field) {
  const match = /^(\d+(?:\.\d+)?)(ns|us|ms|s|m|h|d|w)$/.exec(text);
  if (!match) throw wrong(`not a duration: "${text}"`, field);
  return Number(match[1]) * UNIT[match[2]];
}
function moment(text, field, fallback) {
  if (text === undefined || text === null || text === '') return fallback;
  const now = Date.now();
  if (text === 'now') return now;
  if (/^-/.test(text) && !/^-\d+$/.test(text)) return now - duration(String(text).slice(1), field);
  if (/^\d+(\.\d+)?$/.test(text)) {
    const n = Number(text);
    return n > 1e17 ? n / 1e6 : n > 1e14 ? n / 1e3 : n > 1e11 ? n : n * 1000;
  }
  const t = Date.parse(text);
  if (Number.isNaN(t)) throw wrong(`not a time: "${text}"`, field);
  return t;
}
const stamp = (ms, epoch) => (epoch ? Math.round(ms / UNIT[epoch]) : new Date(ms).toISOString());

function cookieOf(request) {
  return /(?:^|;\s*)fluxgate_session=([^;]+)/.exec(request.headers.cookie ?? '')?.[1];
}
const signedIn = (request) => flags.open || sessions.has(cookieOf(request));

function device(id) {
  if (!world.devices.has(id)) throw missing(`device "${id}"`);
  return world.devices.get(id);
}

function page(items, query, most = 1000) {
  const limit = Math.min(most, Number(query.get('limit') ?? 100));
  const from = Number(Buffer.from(query.get('cursor') ?? '', 'base64url').toString() || 0);
  const next = from + limit < items.length ? Buffer.from(String(from + limit)).toString('base64url') : null;
  return { items: items.slice(from, from + limit), next };
}

let cache = { at: 0, all: [] };
function everything(now) {
  if (now - cache.at > 1000 || cache.all.length !== world.devices.size)
    cache = { at: now, all: [...world.devices.keys()].map((id) => world.device(id, now)) };
  return cache.all;
}

function listDevices(query) {
  const now = Date.now();
  const include = (query.get('include') ?? '').split(',');
  const q = query.get('q')?.toLowerCase();
  const states = query.get('state')?.split(',');
  const labels = query.getAll('label').map((l) => [l.slice(0, l.indexOf(':')), l.slice(l.indexOf(':') + 1)]);
  const all = everything(now);
  let found = all.filter(
    (d) =>
      (!q || `${d.device} ${d.name ?? ''} ${d.location?.place ?? ''}`.toLowerCase().includes(q)) &&
      (!states || states.includes(d.state)) &&
      (!query.get('profile') || d.profile === query.get('profile')) &&
      labels.every(([k, v]) => d.labels[k] === v),
  );
  const by = {
    name: (a, b) => (a.name ?? a.device).localeCompare(b.name ?? b.device, 'en', { numeric: true }),
    last_seen: (a, b) => (b.last_seen ?? '').localeCompare(a.last_seen ?? ''),
    state: (a, b) =>
      ['silent', 'online', 'never'].indexOf(a.state) - ['silent', 'online', 'never'].indexOf(b.state),
  };
  found = found.sort(by[query.get('sort') ?? 'name']);
  const { items, next } = page(found, query);
  const answer = {
    devices: include.includes('latest')
      ? items.map((d) => ({ ...d, latest: world.latest(d.device, now) }))
      : items,
    next,
    total: found.length,
  };
  if (include.includes('facets')) {
    const count = (into, key) => {
      into[key] = (into[key] ?? 0) + 1;
    };
    const facets = { states: {}, profiles: {}, labels: {} };
    for (const d of all) {
      count(facets.states, d.state);
      if (d.profile) count(facets.profiles, d.profile);
      for (const [k, v] of Object.entries(d.labels)) {
        facets.labels[k] ??= {};
        count(facets.labels[k], v);
      }
    }
    answer.facets = facets;
  }
  return answer;
}

function query(params) {
  const now = Date.now();
  const many = (name) =>
    params
      .getAll(name)
      .flatMap((v) => v.split(','))
      .filter(Boolean);
  const from = moment(params.get('from'), 'from', now - 3600000);
  const to = moment(params.get('to'), 'to', now);
  const epoch = params.get('epoch');
  const limit = Number(params.get('limit') ?? 10000);
  const window = params.get('window');
  const aggregates = many('aggregate').length ? many('aggregate') : ['mean'];
  const series = [];
  for (const id of many('device')) {
    device(id);
    for (const metric of world.metrics(id)) {
      if (many('metric').length && !many('metric').includes(metric.name)) continue;
      const points = window
        ? world.windows(id, metric.name, from, Math.min(to, now), duration(window, 'window'), aggregates)
        : world.points(id, metric.name, from, Math.min(to, now), limit);
      if (!points.length) continue;
      series.push({
        device: id,
        metric: metric.name,
        unit: metric.unit,
        columns: ['time', ...(window ? aggregates : ['value'])],
        points: points.map(([t, ...rest]) => [stamp(t, epoch), ...rest]),
      });
    }
  }
  return { series, next: null };
}

function credential(id, expires = null) {
  const token = `fgd_${randomBytes(15).toString('base64url')}`;
  const made = {
    id: randomBytes(4).toString('hex'),
    kind: 'token',
    created_at: new Date().toISOString(),
    last_used_at: null,
    expires_at: expires,
    hash: createHash('sha256').update(token).digest('hex'),
  };
  world.credentials.set(id, [...(world.credentials.get(id) ?? []), made]);
  const { hash: _, ...shown } = made;
  return { ...shown, token };
}

function connect(body) {
  if (!body.device) throw wrong('device is missing', 'device');
  if (/[/+#]/.test(body.device)) throw wrong('"device" may not contain "/", "+" or "#"', 'device');
  if (!world.devices.has(body.device)) {
    world.add({
      device: body.device,
      name: body.name ?? null,
      kind: null,
      profile: body.profile ?? null,
      labels: body.labels ?? {},
      demo: false,
    });
  }
  const made = credential(body.device);
  const url = `http://localhost:${flags.port}/api/v1/telemetry`;
  const topic = `v1/devices/${body.device}/telemetry`;
  return {
    device: world.device(body.device, Date.now()),
    credential: { id: made.id, token: made.token },
    mqtt: { host: 'localhost', port: 1883, username: body.device, password: made.token, topic },
    http: { url },
    snippets: [
      {
        name: 'mosquitto_pub',
        protocol: 'mqtt',
        text: `mosquitto_pub -h localhost -p 1883 -u ${body.device} -P ${made.token} -q 1 -t ${topic} -m '{"temperature":21.5}'`,
      },
      {
        name: 'curl',
        protocol: 'http',
        text: `curl ${url} -H 'Authorization: Bearer ${made.token}' -H 'Content-Type: application/json' -d '{"metrics":{"temperature":21.5}}'`,
      },
      {
        name: 'Python',
        protocol: 'mqtt',
        text: `python3 -c 'import paho.mqtt.publish as p; p.single("${topic}", "{\\"temperature\\":21.5}", qos=1, hostname="localhost", auth={"username":"${body.device}","password":"${made.token}"})'`,
      },
    ],
  };
}

function trace(id, stage, ok, message, request, detail = {}) {
  const event = {
    time: new Date().toISOString(),
    stage,
    ok,
    message,
    peer: `${request.socket.remoteAddress}:${request.socket.remotePort}`,
    protocol: 'http',
    detail,
  };
  for (const client of live)
    for (const [sub, asked] of client.subs)
      if (asked.trace === id) client.send({ op: 'trace', id: sub, event });
}

/** The device that a token belongs to. A wrong token still says whom it meant, where the body names a device. */
function ingest(request, body) {
  const token = /^(?:Bearer|Token) (.+)$/.exec(request.headers.authorization ?? '')?.[1] ?? '';
  const hash = createHash('sha256').update(token).digest('hex');
  let owner = null;
  for (const [id, list] of world.credentials) if (list.some((c) => c.hash === hash)) owner = id;
  const meant = owner ?? (Array.isArray(body) ? body[0]?.device : body?.device);
  trace(meant, 'connect', true, 'A device opened a connection.', request);
  if (!owner) {
    trace(
      meant,
      'auth',
      false,
      token ? 'The token is not known: it was revoked or mistyped.' : 'The request carries no credential.',
      request,
      { hint: 'Copy the line again.' },
    );
    throw new Failure(401, 'unauthenticated', 'the token is not known');
  }
  trace(owner, 'auth', true, `The token is good for ${owner}.`, request);
  const list = Array.isArray(body)
    ? body
    : (body.readings?.map((r) => ({ ...r, device: body.device })) ?? [body]);
  let accepted = 0;
  const refused = [];
  list.forEach((reading, index) => {
    if (!reading.metrics || typeof reading.metrics !== 'object') {
      const message = 'expected an object of metrics, as in {"metrics":{"temperature":21.5}}';
      refused.push({ index, field: 'metrics', code: 'invalid_argument', message });
      trace(owner, 'parse', false, message, request, { field: 'metrics' });
      return;
    }
    const time = moment(reading.time, 'time', Date.now());
    const known = world.injected.get(owner) ?? new Map();
    world.injected.set(owner, known);
    const data = {};
    for (const [name, value] of Object.entries(reading.metrics)) {
      known.set(name, [...(known.get(name) ?? []), [time, value]]);
      data[name] = [[time, value]];
      accepted += 1;
    }
    trace(owner, 'parse', true, `${Object.keys(reading.metrics).length} value(s) understood.`, request);
    trace(
      owner,
      'reading',
      true,
      Object.entries(reading.metrics)
        .map(([k, v]) => `${k} = ${v}`)
        .join(', '),
      request,
      { metrics: reading.metrics },
    );
    for (const client of live) client.offer(owner, data);
  });
  const used = world.credentials.get(owner).find((c) => c.hash === hash);
  used.last_used_at = new Date().toISOString();
  if (!accepted && refused.length) {
    return {
      status: 400,
      body: {
        error: { code: 'invalid_argument', message: refused[0].message, field: refused[0].field },
        accepted,
        refused,
      },
    };
  }
  return { status: 200, body: refused.length ? { accepted, refused } : { accepted } };
}

function deadLetters(params) {
  const only = params.get('device');
  const now = Date.now();
  const letters = [];
  for (const [id, d] of world.devices) {
    if ((only && id !== only) || d.kind !== 'cold_chain') continue;
    for (let n = 0; n < 5; n += 1) {
      const time = now - 540000 - n * 2940000;
      letters.push({
        id: `${id}-${n}`,
        time: new Date(time).toISOString(),
        received_at: new Date(time + 13).toISOString(),
        device: id,
        metric: 'temperature',
        value: 412 + n,
        reason: 'out_of_range',
        message: `temperature is ${412 + n} °C; the profile "cold_chain" allows -40 to 40`,
        source: { partition: 3, offset: 1042 + n },
      });
    }
  }
  const { items, next } = page(
    letters.sort((a, b) => b.time.localeCompare(a.time)),
    params,
  );
  return { dead_letters: items, next };
}

function events(params) {
  const only = params.get('device');
  const now = Date.now();
  const list = [];
  for (const [id, d] of world.devices) {
    if (only && id !== only) continue;
    if (d.never) continue;
    const add = (ago, type, message, details = {}) =>
      list.push({
        id: `${id}-${type}-${ago}`,
        time: new Date(now - ago).toISOString(),
        device: id,
        type,
        message,
        details,
      });
    if (d.silentSince)
      add(now - d.silentSince - 300000, 'device_silent', `${id} has been silent for 5 m`, {
        silent_after: '5m',
      });
    if (d.kind && d.kind !== 'machine') {
      add(7200000, 'device_online', `${id} reports again after 12 m`);
      add(7920000, 'device_silent', `${id} has been silent for 5 m`, { silent_after: '5m' });
    }
    for (const metric of world.metrics(id))
      add(86400000, 'metric_discovered', `${metric.name} was seen for the first time`, {
        metric: metric.name,
        type: metric.type,
      });
    add(86400500, 'device_discovered', `${id} reported for the first time`);
  }
  const { items, next } = page(
    list.sort((a, b) => b.time.localeCompare(a.time)),
    params,
  );
  return { events: items, next };
}

async function readBody(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const text = Buffer.concat(chunks).toString();
  if (!text) return {};
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw wrong(`not JSON: ${cause.message}`);
  }
}

function openSession(response) {
  const id = randomBytes(16).toString('base64url');
  sessions.add(id);
  response.setHeader('Set-Cookie', `fluxgate_session=${id}; Path=/; HttpOnly; SameSite=Strict`);
  return { user: user() };
}

async function answer(request, response, url) {
  const path = url.pathname
    .replace(/^\/api\/v1/, '')
    .split('/')
    .slice(1)
    .map(decodeURIComponent);
  const method = request.method;
  const body = ['POST', 'PUT', 'PATCH'].includes(method) ? await readBody(request) : null;
  const is = (pattern) => {
    const [verb, route] = pattern.split(' ');
    const parts = route.split('/').slice(1);
    return (
      verb === method && parts.length === path.length && parts.every((p, i) => p === '*' || p === path[i])
    );
  };

  if (is('POST /auth/link')) {
    if (body.token !== linkToken || linkSpent)
      throw new Failure(401, 'unauthenticated', 'this link was used already, or is not one of ours');
    linkSpent = true;
    return openSession(response);
  }
  if (is('POST /auth/login')) {
    if (password === null || body.username !== 'admin' || body.password !== password)
      throw new Failure(401, 'unauthenticated', 'user name or password is wrong');
    return openSession(response);
  }
  if (is('POST /telemetry')) {
    const done = ingest(request, body);
    response.statusCode = done.status;
    return done.body;
  }
  if (!signedIn(request)) throw new Failure(401, 'unauthenticated', 'sign in first');
  if (is('GET /auth/me')) return { user: user(), mode: flags.open ? 'open' : 'closed' };
  if (is('POST /auth/logout')) {
    const id = cookieOf(request);
    sessions.delete(id);
    for (const client of live) if (client.session === id) client.end(4401);
    return null;
  }
  if (is('PUT /auth/password')) {
    if (password !== null && body.current !== password)
      throw new Failure(403, 'permission_denied', 'the current password is wrong', 'current');
    if ((body.new ?? '').length < 8) throw wrong('expected at least 8 characters', 'new');
    password = body.new;
    return null;
  }
  if (is('GET /devices')) return listDevices(url.searchParams);
  if (is('GET /devices/*')) {
    device(path[1]);
    return world.device(path[1], Date.now());
  }
  if (is('PATCH /devices/*')) {
    const { body: kept } = device(path[1]);
    for (const key of ['name', 'profile', 'location']) if (key in body) kept[key] = body[key];
    for (const [k, v] of Object.entries(body.labels ?? {})) {
      if (v === null) delete kept.labels[k];
      else kept.labels[k] = v;
    }
    return world.device(path[1], Date.now());
  }
  if (is('DELETE /devices/*')) {
    device(path[1]);
    world.devices.delete(path[1]);
    return null;
  }
  if (is('GET /devices/*/latest')) {
    device(path[1]);
    const metrics = world.latest(path[1], Date.now());
    for (const latest of Object.values(metrics)) latest.received_at = latest.time;
    return { device: path[1], metrics };
  }
  if (is('GET /devices/*/credentials')) {
    device(path[1]);
    return { credentials: (world.credentials.get(path[1]) ?? []).map(({ hash: _, ...shown }) => shown) };
  }
  if (is('POST /devices/*/credentials')) {
    device(path[1]);
    response.statusCode = 201;
    return credential(path[1], body.expires_at ?? null);
  }
  if (is('DELETE /devices/*/credentials/*')) {
    const list = world.credentials.get(path[1]) ?? [];
    if (!list.some((c) => c.id === path[3])) throw missing(`credential "${path[3]}"`);
    world.credentials.set(
      path[1],
      list.filter((c) => c.id !== path[3]),
    );
    return null;
  }
  if (is('POST /connect')) {
    response.statusCode = 201;
    return connect(body);
  }
  if (is('GET /profiles')) return { profiles: world.profiles, next: null };
  if (is('GET /ingest-keys')) return { ingest_keys: ingestKeys };
  if (is('GET /query')) return query(url.searchParams);
  if (is('GET /dead-letters')) return deadLetters(url.searchParams);
  if (is('GET /events')) return events(url.searchParams);
  if (is('GET /demo')) return demo();
  if (is('POST /demo')) {
    world.installDemo();
    response.statusCode = 202;
    return demo();
  }
  if (is('DELETE /demo')) {
    world.removeDemo();
    return null;
  }
  if (is('GET /system')) {
    const up = (Date.now() - started) / 1000;
    return {
      version: '0.1.0',
      uptime_s: up,
      mode: flags.open ? 'open' : 'closed',
      roles: ['ingest', 'process', 'store', 'query', 'stream', 'registry', 'auth', 'gateway'],
      storage: {
        log_bytes: 48_000_000 + up * 9000,
        series_bytes: 12_400_000 + up * 1200,
        points: Math.round(8_420_113 + up * 210),
        free_bytes: 84_000_000_000,
      },
      devices: world.devices.size,
      readings_per_s: 6 + (world.devices.size - 1) * 1.6 * (1 + Math.sin(Date.now() / 9000) / 30),
      mqtt: '0.0.0.0:1883',
      self_device: 'this-machine',
    };
  }
  throw missing(`path ${url.pathname}`);
}

function demo() {
  const count = [...world.devices.values()].filter((d) => d.body.demo).length;
  return { installed: count > 0, running: count > 0, devices: count };
}

const TYPES = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
  '.woff2': 'font/woff2',
  '.png': 'image/png',
};
function serveFile(url, response) {
  let file = join(dist, normalize(url.pathname));
  if (!file.startsWith(dist) || !existsSync(file) || statSync(file).isDirectory())
    file = join(dist, 'index.html');
  if (!existsSync(file)) {
    response.writeHead(404).end('web/dist is missing: npm run build');
    return;
  }
  response.writeHead(200, {
    'Content-Type': TYPES[extname(file)] ?? 'application/octet-stream',
    'Cache-Control': url.pathname.startsWith('/assets/') ? 'public, max-age=31536000, immutable' : 'no-cache',
    'Content-Security-Policy':
      "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' blob:; font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    'X-Content-Type-Options': 'nosniff',
  });
  createReadStream(file).pipe(response);
}

const server = createServer(async (request, response) => {
  const url = new URL(request.url, 'http://localhost');
  if (url.pathname === '/api/openapi.json') {
    response.setHeader('Content-Type', 'application/json');
    response.end(readFileSync(join(here, '../../contracts/openapi.json')));
    return;
  }
  // For browser tests: the live connections break, or their session ends.
  if (url.pathname === '/mock/drop' || url.pathname === '/mock/end') {
    for (const client of live) {
      if (url.pathname === '/mock/end') client.end(4401);
      else client.socket.terminate();
    }
    response.end();
    return;
  }
  if (!url.pathname.startsWith('/api/')) {
    serveFile(url, response);
    return;
  }
  try {
    const result = await answer(request, response, url);
    if (result === null) {
      response.writeHead(204).end();
      return;
    }
    response.setHeader('Content-Type', 'application/json');
    response.end(JSON.stringify(result));
  } catch (cause) {
    if (!(cause instanceof Failure)) console.error(cause);
    const { status = 500, code = 'internal', message, field } = cause;
    response.writeHead(status, { 'Content-Type': 'application/json' });
    response.end(JSON.stringify({ error: { code, message, ...(field ? { field } : {}) } }));
  }
});

class LiveClient {
  constructor(socket, session) {
    this.socket = socket;
    this.session = session;
    this.subs = new Map();
    socket.on('message', (text) => this.receive(String(text)));
    socket.on('close', () => live.delete(this));
  }
  send(message) {
    if (this.socket.readyState === 1) this.socket.send(JSON.stringify(message));
  }
  end(code) {
    this.socket.close(code);
  }
  receive(text) {
    const message = JSON.parse(text);
    if (message.op === 'ping') return this.send({ op: 'pong', time: new Date().toISOString() });
    if (message.op === 'unsubscribe') return this.subs.delete(message.id);
    if (message.op !== 'subscribe') {
      return this.send({
        op: 'error',
        id: message.id ?? null,
        error: { code: 'invalid_argument', message: `unknown op "${message.op}"`, field: 'op' },
      });
    }
    const asked = {
      ...message,
      at: Date.now(),
      interval: message.interval ? duration(message.interval, 'interval') : 0,
      due: 0,
    };
    const ids = this.selected(asked);
    this.subs.set(message.id, asked);
    this.send({
      op: 'subscribed',
      id: message.id,
      series: ids.reduce((n, id) => n + world.metrics(id).length, 0),
    });
    if (message.snapshot && !message.trace && !message.events) this.snapshot(message.id, asked, ids);
  }
  selected(asked) {
    if (asked.trace || asked.events) return [];
    const ids = (asked.devices ?? [...world.devices.keys()]).filter((id) => world.devices.has(id));
    return ids.filter((id) =>
      Object.entries(asked.labels ?? {}).every(([k, v]) => world.devices.get(id).body.labels[k] === v),
    );
  }
  snapshot(id, asked, ids) {
    const now = Date.now();
    const data = [];
    for (const device of ids) {
      const metrics = {};
      for (const [name, { time, value }] of Object.entries(world.latest(device, now))) {
        if (!asked.metrics || asked.metrics.includes(name))
          metrics[name] = [[stamp(Date.parse(time), asked.epoch), value]];
      }
      if (Object.keys(metrics).length) data.push({ device, metrics });
    }
    if (data.length) this.send({ op: 'data', id, data });
  }
  tick(now) {
    for (const [id, asked] of this.subs) {
      if (now < asked.due) continue;
      asked.due = now + asked.interval;
      const data = [];
      for (const device of this.selected(asked)) {
        const times = world.times(device, asked.at, now);
        if (!times.length) continue;
        const metrics = {};
        for (const { name } of world.metrics(device)) {
          if (asked.metrics && !asked.metrics.includes(name)) continue;
          metrics[name] = times
            .map((t) => [stamp(t, asked.epoch), world.value(device, name, t)])
            .filter((p) => p[1] !== undefined);
        }
        data.push({ device, metrics });
      }
      asked.at = now;
      if (data.length) this.send({ op: 'data', id, data });
    }
  }
  offer(device, metrics) {
    for (const [id, asked] of this.subs) {
      if (!this.selected(asked).includes(device)) continue;
      const data = Object.fromEntries(
        Object.entries(metrics).map(([k, points]) => [k, points.map(([t, v]) => [stamp(t, asked.epoch), v])]),
      );
      this.send({ op: 'data', id, data: [{ device, metrics: data }] });
      this.send({
        op: 'state',
        id,
        device,
        state: 'online',
        connected: false,
        last_seen: stamp(Date.now(), asked.epoch),
      });
    }
  }
}

const sockets = new WebSocketServer({ noServer: true });
server.on('upgrade', (request, socket, head) => {
  if (new URL(request.url, 'http://localhost').pathname !== '/api/v1/live' || !signedIn(request)) {
    socket.end('HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n');
    return;
  }
  sockets.handleUpgrade(request, socket, head, (ws) => live.add(new LiveClient(ws, cookieOf(request))));
});
setInterval(() => {
  const now = Date.now();
  for (const client of live) client.tick(now);
}, 50);

server.listen(Number(flags.port), '127.0.0.1', () => {
  const { port } = server.address();
  console.log(
    `listening on http://127.0.0.1:${port}${flags['first-run'] ? `/welcome#token=${linkToken}` : ' (admin / fluxgate)'}`,
  );
});
