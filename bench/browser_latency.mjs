// Publish to browser: how long until a value that a device sends stands on the device's page in a real Chromium.
// Prints one JSON object. Usage: node bench/browser_latency.mjs [--via http|mqtt] [--count 300] [--binary build/release/fluxgate]
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
const option = (name, fallback) => {
  const at = process.argv.indexOf(name);
  return at < 0 ? fallback : process.argv[at + 1];
};
const count = Number(option('--count', '300'));
const via = option('--via', 'http');
if (via !== 'http' && via !== 'mqtt') throw new Error(`--via ${via}: expected http or mqtt`);
const binary = path.resolve(option('--binary', path.join(root, 'build', 'release', 'fluxgate')));

const folder = await mkdtemp(path.join(tmpdir(), 'fluxgate-latency-'));
const server = spawn(binary, ['run', '--data-dir', path.join(folder, 'data'), '--http-port', '0', '--mqtt-port', '0', '--set', 'auth.mode=open']);
let printed = '';
const [address, mqttAddress] = await new Promise((resolve, reject) => {
  server.stdout.on('data', (chunk) => {
    printed += chunk;
    const found = printed.match(/web app\s+(http:\/\/\S+)\s+MQTT\s+(\S+)/);
    if (found) resolve([found[1], found[2]]);
  });
  server.on('exit', (code) => reject(new Error(`fluxgate ended with ${code}`)));
});

const overHttp = (value) =>
  fetch(`${address}/api/v1/telemetry`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ device: 'latency', metrics: { value } }),
  });

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
    publish: async (value) => {
      id = (id % 0xffff) + 1;
      send(0x32, text('v1/devices/latency/telemetry'), Buffer.from([id >> 8, id & 0xff]), Buffer.from(JSON.stringify({ value })));
      await answer(0x40);
    },
    end: () => socket.destroy(),
  };
}

const device = via === 'mqtt' ? await mqttDevice() : undefined;
const publish = device ? device.publish : overHttp;
await publish(100_000);
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});
const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
await page.goto(`${address}/devices/latency`);
await page.getByText(/100[,.\s]?000/).first().waitFor();
// When each number first stands in the text of the page, by the clock that the publisher uses too.
await page.evaluate(() => {
  window.seen = new Map();
  const look = () => {
    const now = Date.now();
    for (const found of document.body.innerText.replaceAll(/(?<=\d)[,\u202f\u00a0 ](?=\d{3}\b)/g, '').matchAll(/\b1\d{5}\b/g)) {
      const value = Number(found[0]);
      if (!window.seen.has(value)) window.seen.set(value, now);
    }
  };
  new MutationObserver(look).observe(document.body, { subtree: true, childList: true, characterData: true });
});
const sent = new Map();
for (let i = 1; i <= count; i++) {
  sent.set(100_000 + i, Date.now());
  await publish(100_000 + i);
  await new Promise((resolve) => setTimeout(resolve, 80 + 40 * Math.random())); // pace: a device that reports ten times a second
}
await page.waitForFunction((last) => window.seen.has(last), 100_000 + count);
const seen = new Map(await page.evaluate(() => [...window.seen]));
const latencies = [...sent].filter(([value]) => seen.has(value)).map(([value, at]) => seen.get(value) - at).sort((a, b) => a - b);
const quantile = (q) => latencies[Math.min(latencies.length - 1, Math.floor(q * latencies.length))];
console.log(JSON.stringify({ via, published: count, seen: latencies.length, p50_ms: quantile(0.5), p90_ms: quantile(0.9), p99_ms: quantile(0.99), max_ms: latencies.at(-1) }));
device?.end();
await browser.close();
server.kill('SIGTERM');
await once(server, 'exit');
await rm(folder, { recursive: true, force: true });
