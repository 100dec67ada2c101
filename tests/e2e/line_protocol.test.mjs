// InfluxDB's own JavaScript client writes; what it wrote is there.
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
const { InfluxDB, Point } = createRequire(path.join(root, 'web', 'package.json'))('@influxdata/influxdb-client');
const binary = process.env.FLUXGATE ?? path.join(root, 'build', 'release', 'fluxgate');
const LIMIT = 30_000;

let folder, server, url;

before(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'fluxgate-lines-'));
  const ready = path.join(folder, 'ready');
  server = spawn(binary, [
    'run', '--data-dir', path.join(folder, 'data'), '--http-port', '0', '--mqtt-port', '0', '--ready-file', ready, '--set', 'auth.mode=open',
  ], { stdio: 'ignore' });
  const text = await eventually(() => readFile(ready, 'utf8').catch(() => ''));
  url = `http://${JSON.parse(text).http}`;
});

after(async () => {
  if (server.exitCode === null) {
    const exit = once(server, 'exit');
    server.kill();
    await exit;
  }
  await rm(folder, { recursive: true, force: true });
});

async function eventually(look) {
  const deadline = Date.now() + LIMIT;
  for (;;) {
    const seen = await look();
    if (seen) return seen;
    assert.ok(Date.now() < deadline, 'nothing came');
    await new Promise(setImmediate); // each look is an answer of its own to wait for
  }
}

const points = async (metric) => {
  const answer = await fetch(`${url}/api/v1/query?database=javascript&device=js-1&metric=${metric}&epoch=s`);
  const { series } = await answer.json();
  return series.length > 0 ? series[0].points : null;
};

test('points are written, compressed or not', async () => {
  for (const gzipThreshold of [0, 1_000_000]) {
    const api = new InfluxDB({ url, token: 'any' }).getWriteApi('any', 'javascript', 's', { gzipThreshold });
    api.writePoint(new Point('room').tag('host', 'js-1').floatField('temperature', 21.5).intField('people', 3)
      .booleanField('open', true).stringField('note', 'a "b" \\ c').timestamp(1767225600));
    api.writePoint(new Point('room').tag('host', 'js-1').uintField('seen', '18446744073709551615').timestamp(1767225600));
    await api.close();
  }
  assert.deepEqual(await eventually(() => points('temperature')), [[1767225600, 21.5]]);
  assert.deepEqual(await eventually(() => points('note')), [[1767225600, 'a "b" \\ c']]);
  assert.deepEqual(await eventually(() => points('people')), [[1767225600, 3]]);
});

test('a refused line is told with its cause', async () => {
  const api = new InfluxDB({ url, token: 'any' }).getWriteApi('any', 'javascript', 's', { maxRetries: 0 });
  api.writeRecord('room,host=js-1 people=x');
  await assert.rejects(api.close(), /invalid boolean/);
});
