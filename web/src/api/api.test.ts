import { readFileSync } from 'node:fs';
import openapiTS, { astToString } from 'openapi-typescript';
import { expect, it, vi } from 'vitest';
import { ApiError, api, messageOf, onUnauthenticated, serializeQuery, take } from './client';
import { fetchReadings, onePerMetric } from './queries';

function answer(...bodies: { status?: number; body: unknown }[]) {
  const asked: URL[] = [];
  vi.stubGlobal('fetch', async (request: Request) => {
    asked.push(new URL(request.url));
    const { status = 200, body } = bodies.length > 1 ? bodies.shift()! : bodies[0]!;
    return new Response(typeof body === 'string' ? body : JSON.stringify(body), {
      status,
      headers: { 'Content-Type': 'application/json' },
    });
  });
  return asked;
}

it('has types that are made from the contract as it is', async () => {
  const contract = new URL('../../../contracts/openapi.json', import.meta.url);
  const made = astToString(
    await openapiTS(JSON.parse(readFileSync(contract, 'utf8')), { defaultNonNullable: false }),
  );
  const kept = readFileSync(new URL('./schema.d.ts', import.meta.url), 'utf8');
  const bare = (text: string) => text.slice(text.indexOf('export interface paths')).trim();
  expect(bare(kept) === bare(made), 'contracts/openapi.json changed: npm run api').toBe(true);
}, 60_000); // reads and writes a large file: seconds, on a busy machine

it('spells lists as the contract has them', () => {
  expect(
    serializeQuery({ state: ['online', 'silent'], label: ['a:b', 'c:d,e'], q: 'x y', none: undefined }),
  ).toBe('state=online%2Csilent&label=a%3Ab&label=c%3Ad%2Ce&q=x+y');
});

it('throws what the server said', async () => {
  answer({
    status: 409,
    body: { error: { code: 'already_exists', message: 'device "a" exists already', field: 'device' } },
  });
  const error = await take(api.POST('/api/v1/devices', { body: { device: 'a' } })).catch((e) => e);
  expect(error).toBeInstanceOf(ApiError);
  expect(error).toMatchObject({
    status: 409,
    code: 'already_exists',
    field: 'device',
    message: 'device "a" exists already',
  });
});

it('has words for an answer that is none of ours, and for no answer', async () => {
  answer({ status: 502, body: '<html>' });
  await expect(take(api.GET('/api/v1/system'))).rejects.toThrow('The server answered 502.');
  vi.stubGlobal('fetch', async () => {
    throw new TypeError('failed');
  });
  await expect(take(api.GET('/api/v1/system'))).rejects.toThrow('The server cannot be reached.');
  expect(messageOf('plain')).toBe('plain');
  expect(messageOf(new Error('user name or password is wrong'))).toBe('User name or password is wrong');
  expect(messageOf(new Error('max_age is missing'))).toBe('max_age is missing');
});

it('says when the session is over, but not while somebody logs in', async () => {
  const handler = vi.fn();
  onUnauthenticated(handler);
  answer({ status: 401, body: { error: { code: 'unauthenticated', message: 'no' } } });
  await take(api.POST('/api/v1/auth/login', { body: { username: 'a', password: 'b' } })).catch(() => {});
  expect(handler).not.toHaveBeenCalled();
  await take(api.GET('/api/v1/devices')).catch(() => {});
  expect(handler).toHaveBeenCalledOnce();
  onUnauthenticated(() => {});
});

it('follows cursors and joins the pages of each series', async () => {
  const series = (points: unknown[]) => ({
    device: 'a',
    metric: 't',
    unit: '°C',
    columns: ['time', 'value'],
    points,
  });
  const asked = answer(
    { body: { series: [series([[1, 1]])], next: 'c2' } },
    { body: { series: [series([[2, 2]]), { ...series([[2, 5]]), metric: 'u' }], next: null } },
  );
  const readings = await fetchReadings({
    devices: ['a', 'b'],
    from: 0,
    to: 10,
    window: 60_000,
    aggregates: ['min', 'max'],
  });
  expect(readings.map((r) => [r.metric, r.points])).toEqual([
    [
      't',
      [
        [1, 1],
        [2, 2],
      ],
    ],
    ['u', [[2, 5]]],
  ]);
  expect(asked).toHaveLength(2);
  expect(asked[0]!.searchParams.getAll('device')).toEqual(['a', 'b']);
  expect(asked[0]!.searchParams.get('window')).toBe('1m');
  expect(asked[0]!.searchParams.get('aggregate')).toBe('min,max');
  expect(asked[1]!.searchParams.get('cursor')).toBe('c2');
});

it('does not mix series that lines brought under one metric', async () => {
  const series = (points: unknown[], more: object = {}) => ({
    device: 'a',
    metric: 't',
    unit: null,
    columns: ['time', 'value'],
    points,
    ...more,
  });
  answer({
    body: {
      series: [
        series([[1, 1]], { tags: { room: 'x' } }),
        series([[2, 2]]),
        series([[3, 3]], { measurement: 'air' }),
      ],
      next: null,
    },
  });
  const readings = await fetchReadings({ devices: ['a'], from: 0, to: 1 });
  expect(readings.map((r) => r.points)).toEqual([[[1, 1]], [[2, 2]], [[3, 3]]]);
  expect(onePerMetric(readings).map((r) => r.points)).toEqual([[[2, 2]]]);
});

it('reads times that come as text', async () => {
  answer({
    body: {
      series: [
        {
          device: 'a',
          metric: 't',
          unit: null,
          columns: ['time', 'value'],
          points: [['1970-01-01T00:00:01Z', 1]],
        },
      ],
      next: null,
    },
  });
  expect((await fetchReadings({ devices: ['a'], from: 0, to: 1 }))[0]!.points).toEqual([[1000, 1]]);
});
