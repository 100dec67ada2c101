import { feature, mesh } from 'topojson-client';
import type { GeometryCollection, Topology } from 'topojson-specification';
import { type Point, project } from './mercator';

export interface Land {
  shores: Path2D;
  borders: Path2D;
  countries: { name: string; at: Point; width: number }[];
}

type Ring = [number, number][];

function trace(path: Path2D, line: Ring): void {
  line.forEach(([longitude, latitude], i) => {
    const { x, y } = project(latitude, longitude);
    if (i === 0) path.moveTo(x, y);
    else path.lineTo(x, y);
  });
}

/** Where a country's name goes: the middle of its largest part. */
function label(name: string, polygons: Ring[][]): Land['countries'][number] {
  let best = { name, at: { x: 0, y: 0 }, width: 0 };
  let most = 0;
  for (const [outer] of polygons) {
    const points = outer!.map(([longitude, latitude]) => project(latitude, longitude));
    let [area, x, y] = [0, 0, 0];
    for (let i = 0, j = points.length - 1; i < points.length; j = i, i += 1) {
      const cross = points[j]!.x * points[i]!.y - points[i]!.x * points[j]!.y;
      area += cross;
      x += (points[j]!.x + points[i]!.x) * cross;
      y += (points[j]!.y + points[i]!.y) * cross;
    }
    if (Math.abs(area) <= most) continue;
    most = Math.abs(area);
    const xs = points.map((p) => p.x);
    best = {
      name,
      at: { x: x / (3 * area), y: y / (3 * area) },
      width: Math.max(...xs) - Math.min(...xs),
    };
  }
  return best;
}

async function load(): Promise<Land> {
  const world = (await import('world-atlas/countries-50m.json')).default as unknown as Topology<{
    countries: GeometryCollection<{ name: string }>;
    land: GeometryCollection;
  }>;
  const shores = new Path2D();
  for (const { geometry } of feature(world, world.objects.land).features) {
    const polygons =
      geometry.type === 'Polygon'
        ? [geometry.coordinates]
        : geometry.type === 'MultiPolygon'
          ? geometry.coordinates
          : [];
    for (const polygon of polygons as Ring[][]) {
      for (const ring of polygon) {
        trace(shores, ring);
        shores.closePath();
      }
    }
  }
  const borders = new Path2D();
  for (const line of mesh(world, world.objects.countries, (a, b) => a !== b).coordinates as Ring[])
    trace(borders, line);
  const countries = feature(world, world.objects.countries).features.flatMap(({ properties, geometry }) => {
    if (geometry.type === 'Polygon') return [label(properties.name, [geometry.coordinates as Ring[]])];
    if (geometry.type === 'MultiPolygon') return [label(properties.name, geometry.coordinates as Ring[][])];
    return [];
  });
  return { shores, borders, countries };
}

let loading: Promise<Land> | null = null;

/** Shores and borders, part of the app and loaded with the first map. A failure is tried again by the next one. */
export function loadLand(): Promise<Land> {
  loading ??= load().catch((error) => {
    loading = null;
    throw error;
  });
  return loading;
}
