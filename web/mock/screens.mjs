// Pictures of every page, light and dark, desktop and phone, and what axe says of each: node mock/screens.mjs [folder] [name filter]
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { complaints, launch, signIn, startMock } from './browser.mjs';

const folder = process.argv[2] ?? 'screens';
const only = process.argv[3];
mkdirSync(folder, { recursive: true });
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const demo = await startMock();
const many = await startMock('--devices', '10000');
many.url = many.url.replace('127.0.0.1', 'localhost'); // cookies know hosts, not ports
const fresh = await startMock('--no-demo', '--open');
const browser = await launch();
let violations = 0;
let complained = 0;

const settle = (page, ms = 2500) => page.waitForTimeout(ms);
const PAGES = {
  login: { server: demo, path: '/login', anonymous: true },
  welcome_bad: { server: demo, path: '/welcome#token=used', anonymous: true },
  overview: { server: demo, path: '/', wait: 4000 },
  overview_many: {
    server: many,
    path: '/?on=pump-1006&on=pump-1001&on=pump-1011&on=pump-1016&on=pump-1021&on=pump-1026&m=flow',
    wait: 4000,
  },
  overview_first: { server: fresh, path: '/', wait: 3000 },
  device: { server: demo, path: '/devices/pump-02', wait: 3000 },
  device_day: {
    server: demo,
    path: '/devices/cold-03?span=24h&tab=refused&m=temperature&m=humidity',
    wait: 3000,
    act: async (page) => {
      const box = await page.locator('.u-over').first().boundingBox();
      if (box) await page.mouse.move(box.x + box.width * 0.6, box.y + box.height / 2);
      await settle(page, 300);
    },
  },
  credentials: {
    server: demo,
    path: '/devices/solar-02?span=5m&tab=credentials',
    wait: 1500,
    act: async (page) => {
      await page.getByRole('button', { name: 'Create a token' }).click();
      await page.getByRole('button', { name: 'I have copied it' }).waitFor();
      await settle(page, 500);
    },
  },
  edit: {
    server: demo,
    path: '/devices/solar-02?span=5m',
    wait: 1000,
    act: async (page) => {
      await page.getByRole('button', { name: 'Edit' }).click();
      await settle(page, 500);
    },
  },
  connect: { server: demo, path: '/connect', wait: 800 },
  connect_done: {
    server: demo,
    path: '/connect',
    act: async (page) => {
      await page.getByRole('button', { name: 'Get the line to copy' }).click();
      const line = await page.locator('pre').first().textContent();
      const id = await page.locator('code').first().textContent();
      const token = /-P (\S+)/.exec(line)?.[1] ?? /Bearer (\S+?)'/.exec(line)[1];
      const send = (bearer, body) =>
        fetch(`${demo.url}/api/v1/telemetry`, {
          method: 'POST',
          headers: { Authorization: `Bearer ${bearer}`, 'Content-Type': 'application/json' },
          body: JSON.stringify(body),
        });
      await settle(page, 400);
      await send('wrong', { device: id, metrics: { temperature: 1 } });
      await settle(page, 300);
      for (const value of [21.5, 21.7, 21.2, 22]) {
        await send(token, { metrics: { temperature: value } });
        await settle(page, 150);
      }
      await settle(page, 600);
    },
  },
  palette: {
    server: demo,
    path: '/',
    wait: 1500,
    act: async (page) => {
      await page.keyboard.press('Control+k');
      await page.getByRole('combobox', { name: 'Search devices and commands' }).fill('pu');
      await settle(page, 600);
    },
  },
};
const SIZES = { desktop: { width: 1440, height: 900 }, phone: { width: 390, height: 844 } };

for (const [size, viewport] of Object.entries(SIZES)) {
  for (const scheme of ['light', 'dark']) {
    const context = await browser.newContext({
      viewport,
      colorScheme: scheme,
      deviceScaleFactor: size === 'phone' ? 2 : 1,
    });
    const page = await context.newPage();
    page.setDefaultTimeout(8000);
    const heard = complaints(page);
    const signedIn = new Set();
    for (const [name, { server, path, anonymous, wait = 500, act }] of Object.entries(PAGES)) {
      if (only && !new RegExp(only).test(name)) continue;
      if (!anonymous && server !== fresh && !signedIn.has(server.url)) {
        await signIn(page, server.url);
        signedIn.add(server.url);
      }
      heard.length = 0;
      await page.goto('about:blank');
      await page.goto(server.url + path);
      await settle(page, wait);
      await act?.(page);
      await page.screenshot({ path: join(folder, `${name}_${size}_${scheme}.png`) });
      await page.evaluate(axe);
      const found = await page.evaluate(() => axe.run({ resultTypes: ['violations'] }));
      for (const v of found.violations) {
        violations += v.nodes.length;
        console.log(`${name} ${size} ${scheme}: ${v.id} (${v.impact}) ${v.help}`);
        for (const node of v.nodes.slice(0, 4))
          console.log(`    ${node.target.join(' ')}  ${node.failureSummary?.split('\n')[1] ?? ''}`);
      }
      const real = heard.filter((line) => !/401|status of 401/.test(line));
      complained += real.length;
      for (const line of real) console.log(`${name} ${size} ${scheme}: ${line}`);
    }
    await context.close();
  }
}
await browser.close();
for (const server of [demo, many, fresh]) server.stop();
console.log(`${violations} accessibility violations, ${complained} complaints of the browser`);
process.exitCode = violations + complained > 0 ? 1 : 0;
