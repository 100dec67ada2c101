// What only a browser can show: node mock/journeys.mjs (after npm run build). Prints "N passed, N failed".
import { complaints, launch, signIn, startMock } from './browser.mjs';

const mock = await startMock();
const browser = await launch();
let passed = 0;
let failed = 0;

async function journey(name, act) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, acceptDownloads: true });
  const page = await context.newPage();
  page.setDefaultTimeout(15_000);
  const heard = complaints(page);
  try {
    await act(page, context);
    const wrong = heard.filter(
      (line) => !/401|ERR_CONNECTION_REFUSED|WebSocket|ERR_INTERNET|willReadFrequently/.test(line),
    );
    if (wrong.length) throw new Error(wrong.join('; '));
    passed += 1;
    console.log(`ok   ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`FAIL ${name}: ${error.message.split('\n')[0]}`);
  }
  await context.close();
}
function must(condition, message) {
  if (!condition) throw new Error(message);
}
async function until(check, what, patience = 15_000) {
  const end = Date.now() + patience;
  for (;;) {
    if (await check()) return;
    if (Date.now() > end) throw new Error(`never: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
const picture = (page) =>
  page
    .locator('.chart canvas')
    .first()
    .evaluate((canvas) => {
      const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
      let sum = 0;
      for (let i = 0; i < data.length; i += 4) sum = (sum * 31 + data[i] + data[i + 3]) | 0;
      return sum;
    });

await journey('the live chart moves, holds still, and moves on', async (page) => {
  await signIn(page, mock.url);
  await page.locator('.u-over').first().waitFor();
  const first = await picture(page);
  await until(async () => (await picture(page)) !== first, 'the chart moved');
  await page.getByRole('button', { name: 'Pause' }).click();
  await page.waitForTimeout(800);
  const held = await picture(page);
  await page.waitForTimeout(700);
  must(held === (await picture(page)), 'a held chart moved');
  await page.getByRole('button', { name: 'Move on' }).click();
  await until(async () => (await picture(page)) !== held, 'the chart moved on');
});

await journey('dragging zooms in, a double click zooms out', async (page) => {
  await signIn(page, mock.url);
  await page.goto(`${mock.url}/devices/pump-02?span=6h`);
  const plot = page.locator('.u-over').first();
  await plot.waitFor();
  const box = await plot.boundingBox();
  const y = box.y + box.height / 2;
  await page.mouse.move(box.x + box.width * 0.25, y);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * 0.5, y, { steps: 8 });
  await page.mouse.up();
  await until(() => /from=\d+&to=\d+/.test(page.url()), 'the address holds the range');
  const [, from, to] = /from=(\d+)&to=(\d+)/.exec(page.url());
  const hours = (to - from) / 3_600_000;
  must(Math.abs(hours - 1.5) < 0.1, `zoomed to ${hours} h rather than 1.5`);
  await until(
    async () => (await page.getByText(/windows: line is the mean/).textContent()).startsWith('10s'),
    'finer windows',
  );
  await plot.dblclick();
  await until(() => !/from=/.test(page.url()) && /span=6h/.test(page.url()), 'zoomed out again');
});

await journey('the shown range is saved as CSV', async (page) => {
  await signIn(page, mock.url);
  await page.goto(`${mock.url}/devices/pump-02?span=15m`);
  await page.getByText(/windows: line is the mean/).waitFor();
  await page.getByRole('button', { name: 'Export CSV' }).click();
  const [download] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole('menuitem', { name: /As shown/ }).click(),
  ]);
  const chunks = [];
  for await (const chunk of await download.createReadStream()) chunks.push(chunk);
  const lines = Buffer.concat(chunks).toString().trim().split('\r\n');
  must(lines[0].startsWith('time,pressure min (bar),pressure mean (bar),pressure max (bar)'), lines[0]);
  must(lines.length > 100 && /^\d{4}-\d\d-\d\dT/.test(lines[1]), `${lines.length} lines`);
});

await journey('a device connects while one watches', async (page) => {
  await signIn(page, mock.url);
  await page.getByRole('link', { name: 'Connect a device' }).click();
  await page.getByRole('button', { name: 'Get the line to copy' }).click();
  await page.getByText('curl', { exact: true }).click();
  const line = await page.locator('pre').first().textContent();
  const token = /Bearer (\S+?)'/.exec(line)[1];
  const send = (bearer, body) =>
    fetch(`${mock.url}/api/v1/telemetry`, {
      method: 'POST',
      headers: { Authorization: `Bearer ${bearer}`, 'Content-Type': 'application/json' },
      body: JSON.stringify(body),
    });
  await page.getByText(/Waiting for/).waitFor();
  await until(async () => {
    await send('wrong', { device: 'my-device', metrics: { temperature: 1 } });
    return page.getByText('The token is not known').first().isVisible();
  }, 'the refusal shows');
  await send(token, { metrics: { temperature: 21.5 } });
  await page.getByText('It works.').waitFor();
  await page.getByRole('link', { name: 'Open the device' }).click();
  await page.getByRole('heading', { name: 'my-device' }).waitFor();
  await page.locator('.u-over').first().waitFor();
});

await journey('a lost connection comes back by itself, and the gap fills', async (page, context) => {
  await signIn(page, mock.url);
  const bar = page.getByRole('contentinfo');
  const says = (word) => until(async () => (await bar.textContent()).startsWith(word), word);
  await says('Live');
  await page.locator('.u-over').first().waitFor(); // the chart has its subscription
  await context.setOffline(true);
  // An open socket survives the switch in Chromium; the server ends it.
  await fetch(`${mock.url}/mock/drop`);
  await bar
    .getByText(/Offline/)
    .first()
    .waitFor();
  await page.waitForTimeout(4000);
  const asked = [];
  page.on('request', (request) => {
    if (request.url().includes('/api/v1/query')) asked.push(new URL(request.url()).searchParams);
  });
  await context.setOffline(false);
  await says('Live');
  await until(
    () => asked.some((q) => Date.now() - Date.parse(q.get('from')) < 30_000),
    'the gap was asked for',
  );
});

await journey('an ended session leads to the log-in and back', async (page, context) => {
  await signIn(page, mock.url);
  await page.goto(`${mock.url}/devices/pump-02?span=6h`);
  await page.getByRole('heading', { name: 'Return pump 2' }).waitFor();
  await context.clearCookies();
  await fetch(`${mock.url}/mock/end`);
  await page.getByRole('heading', { name: 'Log in' }).waitFor();
  await page.getByLabel('Password', { exact: true }).fill('fluxgate');
  await page.getByRole('button', { name: 'Log in' }).click();
  await page.getByRole('heading', { name: 'Return pump 2' }).waitFor();
  must(page.url().endsWith('/devices/pump-02?span=6h'), page.url());
});

await journey('the chosen colours stay after loading again', async (page) => {
  await page.emulateMedia({ colorScheme: 'light' });
  await signIn(page, mock.url);
  await page.keyboard.press('t');
  const dark = () =>
    page.evaluate(() => document.documentElement.getAttribute('data-mantine-color-scheme') === 'dark');
  await until(dark, 'dark');
  await page.reload();
  must(await dark(), 'light again after loading');
});

await browser.close();
mock.stop();
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed ? 1 : 0;
