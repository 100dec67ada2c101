import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { overviewSearch, parseSearch, stringifySearch } from './search';

/** From left to right; each leans only on those to its right. */
const ROOMS = ['app', 'features', 'actions', 'live', 'api', 'charts', 'ui', 'lib'];
const root = new URL('..', import.meta.url).pathname;

function* sources(folder: string): Generator<string> {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* sources(path);
    else if (/\.tsx?$/.test(entry.name) && !/\.test\.|\.d\.ts$/.test(entry.name)) yield path;
  }
}

it('each room leans only on the rooms to its right, and features leave each other alone', () => {
  const wrong: string[] = [];
  let checked = 0;
  for (const room of ROOMS) {
    for (const path of sources(join(root, room))) {
      const feature = room === 'features' ? path.slice(root.length).split('/')[1] : null;
      for (const [, kind, target] of readFileSync(path, 'utf8').matchAll(
        /(?:from|import)\s*\(?\s*'(@\/|\.\.\/)([^']+)'/g,
      )) {
        checked += 1;
        if (kind === '../') wrong.push(`${path.slice(root.length)}: ../${target} (write @/ across folders)`);
        const [to, toFeature] = target!.split('/');
        const allowed =
          to === room ? !feature || feature === toFeature : ROOMS.indexOf(to!) > ROOMS.indexOf(room);
        if (!allowed && kind === '@/') wrong.push(`${path.slice(root.length)} leans on ${target}`);
      }
    }
  }
  expect(wrong).toEqual([]);
  expect(checked).toBeGreaterThan(100);
});

it('loads nothing from outside the machine', () => {
  const found: string[] = [];
  for (const path of sources(root)) {
    for (const [url] of readFileSync(path, 'utf8').matchAll(/https?:\/\/[^\s'"`)]+/g)) {
      if (!/^https?:\/\/(localhost|www\.w3\.org)/.test(url)) found.push(`${path.slice(root.length)}: ${url}`);
    }
  }
  expect(found).toEqual([]);
});

it('keeps what the overview shows in an address that can be read', () => {
  const search = {
    q: 'pump 1',
    label: ['site:north', 'line:2'],
    on: ['a'],
    state: 'silent',
    sort: undefined,
  };
  const text = stringifySearch(search);
  expect(text).toBe('?q=pump+1&label=site%3Anorth&label=line%3A2&on=a&state=silent');
  expect(overviewSearch.parse(parseSearch(text))).toEqual({
    q: 'pump 1',
    label: ['site:north', 'line:2'],
    on: ['a'],
    state: 'silent',
  });
  expect(stringifySearch({})).toBe('');
});

it('drops what is odd in an address', () => {
  expect(overviewSearch.parse(parseSearch('?state=broken&span=9y&q=a&q=b&sort=name'))).toEqual({
    q: 'a',
    sort: 'name',
  });
});
