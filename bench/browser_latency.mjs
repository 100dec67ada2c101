// Publish to browser: how long until each value that a device sends is drawn by the live chart in a real Chromium, and where
// the time goes. Every published value is counted; those that reached no chart are reported as `lost`.
// Prints one JSON object. Usage: node bench/browser_latency.mjs [--via http|mqtt] [--page device|overview] [--count 300]
//   [--span 30s|1m|5m|15m, of the overview's chart] [--pace-ms 100] [--binary build/release/fluxgate] [--set key=value]...
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const { chromium } = createRequire(path.join(root, 'web', 'package.json'))('playwright-core');
const options = (name) => process.argv.flatMap((word, at) => (word === name ? [process.argv[at + 1]] : []));
const option = (name, fallback) => options(name).at(-1) ?? fallback;
const count = Number(option('--count', '300'));
const pace = Number(option('--pace-ms', '100'));
const oneOf = (name, known) => {
  const word = option(name, known[0]);
  if (!known.includes(word)) throw new Error(`${name} ${word}: expected ${known.join(' or ')}`);
  return word;
};
const via = oneOf('--via', ['http', 'mqtt']);
const onPage = oneOf('--page', ['device', 'overview']);
const span = oneOf('--span', ['1m', '30s', '5m', '15m']);
const binary = path.resolve(option('--binary', path.join(root, 'build', 'release', 'fluxgate')));

/** Milliseconds by the clock of the machine, finer than Date.now(): the page reads the same one. */
const now = () => performance.timeOrigin + performance.now();

const folder = await mkdtemp(path.join(tmpdir(), 'fluxgate-latency-'));
const settings = ['auth.mode=open', 'self.enabled=false', ...options('--set')].flatMap((setting) => ['--set', setting]);
const server = spawn(binary, ['run', '--data-dir', path.join(folder, 'data'), '--http-port', '0', '--mqtt-port', '0', ...settings]);
let printed = '';
const [address, mqttAddress] = await new Promise((resolve, reject) => {
  server.stdout.on('data', (chunk) => {
    printed += chunk;
    const found = printed.match(/web app\s+(http:\/\/\S+)\s+MQTT\s+(\S+)/);
    if (found) resolve([found[1], found[2]]);
  });
  server.on('exit', (code) => reject(new Error(`fluxgate ended with ${code}`)));
});

const overHttp = async (time, value) => {
  const answer = await fetch(`${address}/api/v1/telemetry`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ device: 'latency', time, metrics: { value } }),
  });
  if (!answer.ok) throw new Error(`HTTP answered ${answer.status}: ${await answer.text()}`);
  await answer.arrayBuffer();
};

/** A device's MQTT 3.1.1 connection: CONNECT, then QoS 1 PUBLISH and PUBACK one after another. */
async function mqttDevice() {
  const [host, port] = mqttAddress.split(':');
  const socket = net.connect({ host, port: Number(port), noDelay: true });
  let received = Buffer.alloc(0);
  let wake = () => {};
  socket.on('data', (bytes) => {
    received = Buffer.concat([received, bytes]);
    wake();
  });
  const text = (value) => {
    const bytes = Buffer.from(value);
    return Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 0xff]), bytes]);
  };
  // Every packet of ours and of the server's here is shorter than 128 bytes, so that its length is one byte.
  const send = (type, ...parts) => {
    const body = Buffer.concat(parts);
    if (body.length > 127) throw new Error('a packet that is too long for this client');
    socket.write(Buffer.concat([Buffer.from([type, body.length]), body]));
  };
  const answer = async (type) => {
    while (received.length < 4) await new Promise((resolve) => (wake = resolve));
    const packet = received.subarray(0, 4);
    received = received.subarray(4);
    if (packet[0] !== type || (type === 0x20 && packet[3] !== 0)) throw new Error(`MQTT answered ${packet.toString('hex')}`);
  };
  send(0x10, text('MQTT'), Buffer.from([4, 2, 0, 60]), text('latency'));
  await answer(0x20);
  let id = 0;
  return {
    publish: async (time, value) => {
      id = (id % 0xffff) + 1;
      const payload = Buffer.from(JSON.stringify({ time, metrics: { value } }));
      send(0x32, text('v1/devices/latency/telemetry'), Buffer.from([id >> 8, id & 0xff]), payload);
      await answer(0x40);
    },
    end: () => socket.destroy(),
  };
}

const device = via === 'mqtt' ? await mqttDevice() : undefined;
const publish = device ? device.publish : overHttp;
const FIRST = 100_000; // six digits, so that the page's text is told from everything else
await publish(Date.now(), FIRST);

/** When the server has let a value out, seen by a reader that draws nothing and asks as the page does. */
const outAt = new Map();
const reading = new AbortController();
const stream = await fetch(`${address}/api/v1/live/sse?device=latency&interval=50ms&epoch=ms`, { signal: reading.signal });
const listening = (async () => {
  let text = '';
  const decoder = new TextDecoder();
  for await (const chunk of stream.body) {
    const at = now();
    text += decoder.decode(chunk, { stream: true });
    const events = text.split('\n\n');
    text = events.pop();
    for (const event of events)
      for (const found of event.matchAll(/\[\d+,(1\d{5})\]/g)) if (!outAt.has(Number(found[1]))) outAt.set(Number(found[1]), at);
  }
})().catch((error) => {
  if (error.name !== 'AbortError') throw error;
});

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});
const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
// Looks on from outside: the page's own socket, its chart's `data-newest`, and its text.
await page.addInitScript(() => {
  const now = () => performance.timeOrigin + performance.now();
  const log = { received: [], drawn: [], painted: [], text: [], frames: 0 };
  window.latency = log;
  const Native = window.WebSocket;
  window.WebSocket = class extends Native {
    constructor(...args) {
      super(...args);
      this.addEventListener('message', ({ data }) => {
        const at = now();
        for (const found of String(data).matchAll(/\[\d+,(1\d{5})\]/g)) log.received.push([Number(found[1]), at]);
      });
    }
  };
  // A task that a frame's script posts runs once the frame was handed to the compositor.
  const afterPaint = new MessageChannel();
  const unpainted = [];
  afterPaint.port1.onmessage = () => {
    const at = now();
    for (const newest of unpainted.splice(0)) log.painted.push([newest, at]);
  };
  const seen = new Set();
  const start = () => {
    new MutationObserver((changes) => {
      const at = now();
      for (const { target, type } of changes) {
        if (type !== 'attributes') continue;
        const newest = Number(target.dataset.newest);
        log.drawn.push([newest, at]);
        unpainted.push(newest);
        afterPaint.port2.postMessage(null);
      }
      for (const found of document.body.innerText.replaceAll(/(?<=\d)[,\u202f\u00a0 ](?=\d{3}\b)/g, '').matchAll(/\b1\d{5}\b/g)) {
        const value = Number(found[0]);
        if (seen.has(value)) continue;
        seen.add(value);
        log.text.push([value, at]);
      }
    }).observe(document, { subtree: true, childList: true, characterData: true, attributes: true, attributeFilter: ['data-newest'] });
    const frame = () => {
      log.frames += 1;
      requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  };
  start();
});
await page.goto(onPage === 'device' ? `${address}/devices/latency` : `${address}/?on=latency&span=${span}`);
await page.getByText(/100[,.\s]?000/).first().waitFor();
await page.locator('[data-newest]').first().waitFor();

const sent = new Map(); // value -> when, and the time that it bears
const acknowledged = new Map();
const framesBefore = await page.evaluate(() => window.latency.frames);
const began = now();
let lastTime = 0;
for (let i = 1; i <= count; i++) {
  const value = FIRST + i;
  const at = now();
  lastTime = Math.max(Math.floor(at), lastTime + 1);
  sent.set(value, { at, time: lastTime });
  await publish(lastTime, value);
  acknowledged.set(value, now());
  await new Promise((resolve) => setTimeout(resolve, pace * (0.8 + 0.4 * Math.random())));
}
await page.waitForFunction((time) => window.latency.painted.some(([newest]) => newest >= time), lastTime);
const seconds = (now() - began) / 1000;
const log = await page.evaluate(() => window.latency);

const earliest = (list) => {
  const map = new Map();
  for (const [key, at] of list) if (!map.has(key) || map.get(key) > at) map.set(key, at);
  return map;
};
/** The first moment at which the chart had drawn up to a time. */
const since = (list) => (time) => list.find(([newest]) => newest >= time)?.[1];
const received = earliest(log.received);
const text = earliest(log.text);
const drawnAt = since(log.drawn);
const paintedAt = since(log.painted);
const quantiles = (values) => {
  const sorted = values.filter((value) => value !== undefined && !Number.isNaN(value)).sort((a, b) => a - b);
  const at = (q) => Math.round(10 * sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))]) / 10;
  return sorted.length === 0 ? null : { count: sorted.length, p50_ms: at(0.5), p90_ms: at(0.9), p99_ms: at(0.99), max_ms: at(1) };
};
const stages = { acknowledged: [], out: [], received: [], drawn: [], painted: [], text: [] };
for (const [value, { at, time }] of sent) {
  const reached = received.has(value); // else the chart's newest would tell of the one after it
  for (const [stage, when] of Object.entries({
    acknowledged: acknowledged.get(value),
    out: outAt.get(value),
    received: received.get(value),
    drawn: reached ? drawnAt(time) : undefined,
    painted: reached ? paintedAt(time) : undefined,
    text: text.get(value),
  }))
    stages[stage].push(when - at);
}
const summary = Object.fromEntries(Object.entries(stages).map(([stage, values]) => [stage, quantiles(values)]));
const { count: painted, ...figures } = summary.painted;
console.log(
  JSON.stringify({
    via,
    page: onPage,
    ...(onPage === 'overview' ? { span } : {}),
    pace_ms: pace,
    published: count,
    painted,
    lost: count - painted,
    ...figures,
    frames_per_s: Math.round((log.frames - framesBefore) / seconds),
    since_publish: summary,
  }),
);
reading.abort();
await listening;
device?.end();
await browser.close();
server.kill('SIGTERM');
await once(server, 'exit');
await rm(folder, { recursive: true, force: true });
