// A person in a real browser: opens the printed link, sees the machine, connects a device, sees its readings move.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..', '..');
const { chromium } = createRequire(path.join(root, 'web', 'package.json'))('playwright-core');
const binary = process.env.FLUXGATE ?? path.join(root, 'build', 'release', 'fluxgate');
const LIMIT = 30_000;

let folder, server, browser, page, link, address;
const problems = [];

before(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'fluxgate-browser-'));
  server = spawn(binary, ['run', '--data-dir', path.join(folder, 'data'), '--http-port', '0', '--mqtt-port', '0', '--ready-file', path.join(folder, 'ready')]);
  let printed = '';
  server.stdout.on('data', (chunk) => (printed += chunk));
  server.stderr.on('data', (chunk) => (printed += chunk));
  link = await new Promise((resolve, reject) => {
    server.stdout.on('data', () => {
      const found = printed.match(/http:\/\/\S+\/welcome#token=[\w-]+/);
      if (found) resolve(found[0]);
    });
    server.on('exit', (code) => reject(new Error(`fluxgate ended with ${code}:\n${printed}`)));
  });
  address = new URL(link).origin;
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
  page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
  page.setDefaultTimeout(LIMIT);
  page.on('pageerror', (error) => problems.push(String(error)));
  page.on('request', (request) => {
    const url = new URL(request.url());
    if (url.origin !== address && url.protocol.startsWith('http')) problems.push(`loads from elsewhere: ${url}`);
  });
});

after(async () => {
  await browser?.close();
  if (server && server.exitCode === null) {
    server.kill('SIGTERM');
    await once(server, 'exit');
  }
  await rm(folder, { recursive: true, force: true });
});

test('the link signs in and the machine itself is there', async () => {
  await page.goto(link);
  await page.getByText('cpu').first().waitFor();
  const machine = await page.evaluate(async () => (await fetch('/api/v1/devices?include=latest')).json());
  assert.equal(machine.devices[0].device, 'this-machine');
});

test('a published value appears on the page of its device, and the next one replaces it', async () => {
  const { token } = await page.evaluate(async () => {
    const headers = { 'Content-Type': 'application/json' };
    await fetch('/api/v1/devices', { method: 'POST', headers, body: JSON.stringify({ device: 'browser-pump' }) });
    return (await fetch('/api/v1/devices/browser-pump/credentials', { method: 'POST', headers, body: '{}' })).json();
  });
  assert.ok(token);
  const publish = async (value) => {
    const answer = await fetch(`${address}/api/v1/telemetry`, {
      method: 'POST',
      headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' },
      body: JSON.stringify({ device: 'browser-pump', metrics: { pressure: value, mode: 'auto', running: true } }),
    });
    assert.equal(answer.status, 200);
  };
  await publish(11.25);
  await page.goto(`${address}/devices/browser-pump`);
  await page.getByText('11.25').first().waitFor();
  await publish(42.75);
  await page.getByText('42.75').first().waitFor();
});

test('connecting a device shows why a wrong token is refused, and then the first reading', async () => {
  await page.goto(`${address}/connect`);
  await page.getByLabel('Device id').fill('browser-new');
  const answered = page.waitForResponse((response) => new URL(response.url()).pathname === '/api/v1/connect');
  await page.getByRole('button', { name: 'Get the line to copy' }).click();
  const made = await (await answered).json();
  const line = made.snippets.find((snippet) => snippet.name === 'curl').text;
  for (const name of ['mosquitto_pub', 'curl', 'Python']) await page.getByText(name, { exact: true }).waitFor();
  await page.getByText('Waiting for browser-new').waitFor();
  const run = async (text) => {
    const child = spawn('sh', ['-c', text], { stdio: 'ignore' });
    const [code] = await once(child, 'exit');
    assert.equal(code, 0, text);
  };
  const { token } = made.credential;
  await run(line.replace(token, token.slice(0, -1)));
  await page.getByText('Refused: Credential.').waitFor();
  await page.getByText('the credential was mistyped or cut').first().waitFor();
  await page.getByText('connected with HTTP/1.1').first().waitFor();
  assert.equal(await page.getByText('It works.').count(), 0);
  await run(line);
  await page.getByText('It works.').waitFor();
  await page.getByText('its device token is valid').waitFor();
  assert.equal(await page.getByText('Refused: Credential.').count(), 0);
});

test('a command sent from the page of a device is seen to succeed, and its change in the readings', async () => {
  const status = await page.evaluate(async () => (await fetch('/api/v1/demo', { method: 'POST' })).status);
  assert.equal(status, 202);
  await page.goto(`${address}/devices/demo-pump-04`);
  const panel = page.getByRole('region', { name: 'Commands' });
  await panel.getByPlaceholder('start').fill('stop');
  await panel.getByRole('button', { name: 'Send' }).click();
  await panel.getByTestId('command-state').getByText('Succeeded', { exact: true }).waitFor();
  await panel.getByRole('list', { name: 'Commands sent' }).getByText('Succeeded', { exact: true }).waitFor();
  // One that fails says why.
  await panel.getByPlaceholder('start').fill('set_speed');
  await panel.getByLabel('Payload (JSON)').fill('{"rpm":9000}');
  await panel.getByRole('button', { name: 'Send' }).click();
  await panel.getByTestId('command-state').getByText('rpm is out of range: 300 to 3000 rpm').waitFor();
  await page.waitForFunction(async () => (await (await fetch('/api/v1/devices/demo-pump-04/latest')).json()).metrics.running?.value === false);
  // What waits is shown as waiting: nobody takes commands for this one. It can be taken back.
  await page.goto(`${address}/devices/browser-pump`);
  await panel.getByLabel('Command', { exact: true }).fill('reboot');
  await panel.getByRole('button', { name: 'Send' }).click();
  await panel.getByTestId('command-state').getByText('waits until the device takes commands').waitFor();
  await panel.getByRole('button', { name: 'Cancel' }).click();
  await panel.getByTestId('command-state').getByText('Cancelled', { exact: true }).waitFor();
});

test('the history is zoomed by the wheel, moved with Shift and reset by a double click', async () => {
  await page.goto(`${address}/devices/this-machine?span=1h`);
  const plot = page.locator('.u-over').first();
  await plot.waitFor();
  await page.getByText('Wheel: zoom', { exact: false }).waitFor();
  const range = () => {
    const search = new URL(page.url()).searchParams;
    return [Number(search.get('from')), Number(search.get('to'))];
  };
  const box = await plot.boundingBox();
  await page.mouse.move(box.x + box.width / 2, box.y + 20);
  await page.mouse.wheel(0, -240);
  await page.waitForURL(/from=/);
  const [from, to] = range();
  assert.ok(to - from < 3_000_000, `a part of the hour, not ${to - from} ms`);
  await page.keyboard.down('Shift');
  await page.mouse.down();
  await page.mouse.move(box.x + box.width / 2 + 100, box.y + 20, { steps: 4 });
  await page.mouse.up();
  await page.keyboard.up('Shift');
  await page.waitForURL((url) => Number(url.searchParams.get('from')) < from - 1000);
  assert.ok(Math.abs(range()[1] - range()[0] - (to - from)) < 5, 'moved, not zoomed');
  await plot.dblclick({ position: { x: 100, y: 20 } });
  await page.waitForURL((url) => !url.searchParams.has('from'));
});

test('a server that stands still is noticed, and its pages still open', async () => {
  await page.goto(`${address}/`);
  await page.getByText('readings/s').waitFor();
  server.kill('SIGSTOP');
  try {
    await page.getByText('Connection lost').waitFor();
    await page.getByText('Was online').first().waitFor();
    assert.equal(await page.getByText('readings/s').count(), 0);
    await page.getByRole('link', { name: 'browser-new' }).first().click();
    await page.getByText('The server does not answer yet.').waitFor();
  } finally {
    server.kill('SIGCONT');
  }
  await page.getByText('Connection lost').waitFor({ state: 'detached' });
  await page.getByRole('heading', { name: 'browser-new' }).waitFor();
});

test('the ready file names the same address', async () => {
  const ready = JSON.parse(await readFile(path.join(folder, 'ready'), 'utf8'));
  assert.equal(`http://${ready.http}`, address);
});

test('nothing broke and nothing was loaded from elsewhere', () => assert.deepEqual(problems, []));
