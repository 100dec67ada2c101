// Figures of the built page: first load, frames of the live chart with 50 series, frames while scrolling 10,000 devices, memory.
//   node mock/measure.mjs [seconds]
import { gzipSync } from 'node:zlib';
import { launch, signIn, startMock } from './browser.mjs';

const seconds = Number(process.argv[2] ?? 10);
const mock = await startMock('--devices', '10000');
const browser = await launch(['--enable-precise-memory-info', '--js-flags=--expose-gc']);
const context = await browser.newContext({ viewport: { width: 1440, height: 900 } });
const page = await context.newPage();
const cdp = await context.newCDPSession(page);
await cdp.send('Performance.enable');

const loaded = [];
page.on('response', async (response) => {
  if (/\.(js|css|woff2)$/.test(new URL(response.url()).pathname)) {
    const body = await response.body().catch(() => Buffer.alloc(0));
    const kind = response.url().split('.').at(-1);
    loaded.push({ kind, gz: kind === 'woff2' ? body.length : gzipSync(body, { level: 9 }).length });
  }
});
await signIn(page, mock.url);
loaded.length = 0;
const begun = Date.now();
await page.goto(mock.url);
await page.locator('.u-over').first().waitFor();
const first = Date.now() - begun;
await page.waitForTimeout(1500);
const sum = (kind) => (loaded.filter((f) => f.kind === kind).reduce((n, f) => n + f.gz, 0) / 1000).toFixed(1);
console.log(
  `overview, first load: ${sum('js')} kB JS, ${sum('css')} kB CSS (gzip), ${sum('woff2')} kB fonts; chart after ${first} ms`,
);

const frames = (ms) =>
  page.evaluate(
    (span) =>
      new Promise((resolve) => {
        const deltas = [];
        let last = performance.now();
        const end = last + span;
        const tick = (now) => {
          deltas.push(now - last);
          last = now;
          if (now < end) requestAnimationFrame(tick);
          else resolve(deltas.slice(2));
        };
        requestAnimationFrame(tick);
      }),
    ms,
  );
const metrics = async () =>
  Object.fromEntries((await cdp.send('Performance.getMetrics')).metrics.map((m) => [m.name, m.value]));
const at = (list, p) => list[Math.min(list.length - 1, Math.floor(list.length * p))];
async function report(name, act = () => {}) {
  const before = await metrics();
  const running = frames(seconds * 1000);
  await act();
  const deltas = (await running).sort((a, b) => a - b);
  const after = await metrics();
  const spent = (key) => (((after[key] - before[key]) / deltas.length) * 1000).toFixed(2);
  console.log(
    `${name}: ${(1000 / (deltas.reduce((a, b) => a + b, 0) / deltas.length)).toFixed(1)} fps, frame p50 ${at(deltas, 0.5).toFixed(1)} p95 ${at(deltas, 0.95).toFixed(1)} p99 ${at(deltas, 0.99).toFixed(1)} ms; main thread per frame ${spent('TaskDuration')} ms (script ${spent('ScriptDuration')})`,
  );
}

await report('this machine, 6 series, 1 min');
const fifty = Array.from({ length: 50 }, (_, i) => `on=pump-${1001 + i * 5}`).join('&');
for (const span of ['1m', '15m']) {
  await page.goto(`${mock.url}/?${fifty}&m=pressure&span=${span}`);
  await page.locator('.u-over').first().waitFor();
  await page.waitForTimeout(6000);
  await report(`50 series, ${span}`);
}
await page.goto(mock.url);
await page.locator('.u-over').first().waitFor();
await page.waitForTimeout(2000);
await report('scrolling the list of 10,051', async () => {
  const list = page.getByRole('table').locator('..');
  const end = Date.now() + seconds * 900;
  while (Date.now() < end) {
    await list.evaluate((e) => e.scrollBy(0, 240));
    await page.waitForTimeout(30);
  }
  console.log(
    `  ${await page.getByRole('row').count()} rows in the document, scrolled ${await list.evaluate((e) => Math.round(e.scrollTop))} px`,
  );
});

const heap = () =>
  page.evaluate(() => {
    gc();
    gc();
    return performance.memory.usedJSHeapSize / 1e6;
  });
await page.goto(`${mock.url}/?${fifty}&m=pressure`);
await page.waitForTimeout(8000);
const samples = [];
for (let i = 0; i < 6; i += 1) {
  samples.push((await heap()).toFixed(1));
  await page.waitForTimeout((seconds * 1000) / 2);
}
console.log(`heap after collection, every ${seconds / 2} s with 50 series: ${samples.join(', ')} MB`);
await browser.close();
mock.stop();
