import { expect, it, vi } from 'vitest';
import type { Device } from '@/api/client';
import type { LiveClient } from '@/live/LiveClient';
import { LiveStore } from '@/live/LiveStore';
import { cluster } from './clusters';
import { bounded, fitting, project, scaleBar, toScreen, unproject, zoomed } from './mercator';
import { whereabouts } from './position';

const size = { width: 800, height: 500 };

it('projects as Web Mercator does, and back', () => {
  expect(project(0, 0)).toEqual({ x: 0.5, y: 0.5 });
  expect(project(85.0511, -180).y).toBeCloseTo(0, 5);
  const { latitude, longitude } = unproject(project(52.52, 13.4));
  expect(latitude).toBeCloseTo(52.52, 9);
  expect(longitude).toBeCloseTo(13.4, 9);
});

it('keeps what is under the pointer there while it zooms', () => {
  const camera = bounded({ ...project(52, 10), scale: 20_000 }, size);
  const berlin = project(52.52, 13.4);
  const before = toScreen(camera, size, berlin);
  const after = toScreen(zoomed(camera, size, 3, before), size, berlin);
  expect(after.x).toBeCloseTo(before.x, 6);
  expect(after.y).toBeCloseTo(before.y, 6);
});

it('brings all points into view, and never leaves the world', () => {
  const points = [project(54.1, 12.1), project(51, 13.7), project(52.4, 9.7)];
  const camera = fitting(points, size);
  for (const point of points) {
    const { x, y } = toScreen(camera, size, point);
    expect(x).toBeGreaterThan(30);
    expect(x).toBeLessThan(size.width - 30);
    expect(y).toBeGreaterThan(30);
    expect(y).toBeLessThan(size.height - 30);
  }
  expect(fitting([points[0]!], size).scale).toBe(256 * 2 ** 7);
  const far = bounded({ x: -3, y: 9, scale: 5000 }, size);
  const corner = toScreen(far, size, { x: 0, y: 1 });
  expect(corner.x).toBeCloseTo(0, 9);
  expect(corner.y).toBeCloseTo(size.height, 9);
  expect(bounded({ x: 0.1, y: 0.1, scale: 1 }, size).scale).toBe(400);
});

it('measures in round distances, which grow towards the poles', () => {
  const at = (latitude: number) => scaleBar({ ...project(latitude, 0), scale: 256 * 2 ** 8 }, 90);
  expect(at(0).metres).toBe(50_000);
  expect(at(0).pixels).toBeCloseTo((50_000 / 40_075_017) * 256 * 2 ** 8, 6);
  expect(at(60).metres).toBe(20_000);
  expect(at(60).pixels).toBeLessThanOrEqual(90);
});

it('puts together only what lies on top of each other', () => {
  const at = (x: number, y: number) => ({ at: { x, y } });
  const groups = cluster([at(0, 0), at(5, 5), at(40, 0), at(40.5, 16), at(100, 100)], 17);
  expect(groups.map((g) => g.members.length)).toEqual([2, 2, 1]);
});

it('takes a place from the readings, else the fixed one', () => {
  const client = { subscribe: vi.fn() } as unknown as LiveClient;
  const store = new LiveStore(client);
  const metrics = ['latitude', 'longitude'].map((name) => ({ name, type: 'double' as const, unit: null }));
  const truck = { device: 't', location: null, metrics } as unknown as Device;
  const where = whereabouts(store, truck)!;
  expect(where()).toBeNull();
  store.seedLatest('t', 'latitude', 52, 1000, null);
  store.seedLatest('t', 'longitude', 13, 1000, null);
  expect(where()).toEqual({ latitude: 52, longitude: 13 });
  store.seedLatest('t', 'latitude', 0, 2000, null);
  store.seedLatest('t', 'longitude', 0, 2000, null);
  expect(where()).toBeNull(); // no fix
  const fixed = { device: 'p', location: { lat: 50, lon: 8, place: null }, metrics: [] };
  expect(whereabouts(store, fixed as unknown as Device)!()).toEqual({ latitude: 50, longitude: 8 });
  expect(whereabouts(store, { ...truck, metrics: metrics.slice(0, 1) })).toBeNull();
});
