// What the browser scripts share: a mock server of their own on a free port, and Debian's Chromium.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

export async function startMock(...flags) {
  const child = spawn(
    process.execPath,
    [fileURLToPath(new URL('./server.mjs', import.meta.url)), '--port', '0', ...flags],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  const [line] = await once(child.stdout, 'data');
  const url = /http:\/\/[\d.]+:\d+/.exec(String(line))[0];
  return { url, stop: () => child.kill() };
}

export function launch(args = []) {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      ...args,
    ],
  });
}

export async function signIn(page, url) {
  await page.goto(`${url}/login`);
  await page.getByLabel('Password', { exact: true }).fill('fluxgate');
  await page.getByRole('button', { name: 'Log in' }).click();
  await page.getByRole('heading', { name: 'Devices', exact: true }).waitFor();
}

/** Fails on anything that the page says is wrong: errors, refused loads, violations of the content security policy. */
export function complaints(page) {
  const list = [];
  page.on('pageerror', (error) => list.push(`error: ${error.message}`));
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning')
      list.push(`${message.type()}: ${message.text()}`);
  });
  return list;
}
