// Publish to browser: how long until a value that a device sends stands on the device's page in a real Chromium.
// Prints one JSON object. Usage: node bench/browser_latency.mjs [--count 300] [--binary build/release/fluxgate]
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
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
const binary = path.resolve(option('--binary', path.join(root, 'build', 'release', 'fluxgate')));

const folder = await mkdtemp(path.join(tmpdir(), 'fluxgate-latency-'));
const server = spawn(binary, ['run', '--data-dir', path.join(folder, 'data'), '--http-port', '0', '--mqtt-port', '0', '--set', 'auth.mode=open']);
let printed = '';
const address = await new Promise((resolve, reject) => {
  server.stdout.on('data', (chunk) => {
    printed += chunk;
    const found = printed.match(/web app\s+(http:\/\/\S+)/);
    if (found) resolve(found[1]);
  });
  server.on('exit', (code) => reject(new Error(`fluxgate ended with ${code}`)));
});
const publish = (value) =>
  fetch(`${address}/api/v1/telemetry`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ device: 'latency', metrics: { value } }),
  });
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
console.log(JSON.stringify({ published: count, seen: latencies.length, p50_ms: quantile(0.5), p90_ms: quantile(0.9), p99_ms: quantile(0.99), max_ms: latencies.at(-1) }));
await browser.close();
server.kill('SIGTERM');
await once(server, 'exit');
await rm(folder, { recursive: true, force: true });
