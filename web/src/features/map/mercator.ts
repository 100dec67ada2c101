/** Web Mercator with the world as a square from 0 to 1, north up. */
export interface Point {
  x: number;
  y: number;
}

const MOST_LATITUDE = 85.0511;
export const MOST_SCALE = 256 * 2 ** 16;

export function project(latitude: number, longitude: number): Point {
  const lat = (Math.max(-MOST_LATITUDE, Math.min(MOST_LATITUDE, latitude)) * Math.PI) / 180;
  return {
    x: (longitude + 180) / 360,
    y: 0.5 - Math.log(Math.tan(Math.PI / 4 + lat / 2)) / (2 * Math.PI),
  };
}

export function unproject({ x, y }: Point): { latitude: number; longitude: number } {
  return {
    latitude: ((2 * Math.atan(Math.exp((0.5 - y) * 2 * Math.PI)) - Math.PI / 2) * 180) / Math.PI,
    longitude: x * 360 - 180,
  };
}

/** What of the world is on the screen: the point in its middle, and how many pixels the whole world is wide. */
export interface Camera {
  x: number;
  y: number;
  scale: number;
}

export interface Size {
  width: number;
  height: number;
}

/** The world fills the screen, and its edge does not come into view further than it must. */
export function bounded(camera: Camera, size: Size): Camera {
  const scale = Math.min(MOST_SCALE, Math.max(camera.scale, size.width * 0.5, size.height * 0.5, 64));
  const hold = (at: number, pixels: number) => {
    const half = pixels / 2 / scale;
    return half >= 0.5 ? 0.5 : Math.max(half, Math.min(1 - half, at));
  };
  return { x: hold(camera.x, size.width), y: hold(camera.y, size.height), scale };
}

/** Closer or further by `factor`, with what is under the pixel `at` staying there. */
export function zoomed(camera: Camera, size: Size, factor: number, at: Point): Camera {
  const scale = bounded({ ...camera, scale: camera.scale * factor }, size).scale;
  const shift = 1 / camera.scale - 1 / scale;
  return bounded(
    { x: camera.x + (at.x - size.width / 2) * shift, y: camera.y + (at.y - size.height / 2) * shift, scale },
    size,
  );
}

/** All of `points`, with some room around; a single one from as far as shows its country. */
export function fitting(points: Point[], size: Size, most = 256 * 2 ** 7): Camera {
  if (points.length === 0) return bounded({ x: 0.5, y: 0.42, scale: 0 }, size);
  let [left, right, top, bottom] = [1, 0, 1, 0];
  for (const { x, y } of points) {
    left = Math.min(left, x);
    right = Math.max(right, x);
    top = Math.min(top, y);
    bottom = Math.max(bottom, y);
  }
  const room = Math.min(60, size.width / 6, size.height / 6);
  const scale = Math.min(
    most,
    (size.width - 2 * room) / Math.max(right - left, 1e-9),
    (size.height - 2 * room) / Math.max(bottom - top, 1e-9),
  );
  return bounded({ x: (left + right) / 2, y: (top + bottom) / 2, scale }, size);
}

export function toScreen(camera: Camera, size: Size, point: Point): Point {
  return {
    x: (point.x - camera.x) * camera.scale + size.width / 2,
    y: (point.y - camera.y) * camera.scale + size.height / 2,
  };
}

const EARTH_METRES = 40_075_017;

/** A round distance (1, 2 or 5 times a power of ten, in metres) of at most `most` pixels in the middle of the view. */
export function scaleBar(camera: Camera, most: number): { metres: number; pixels: number } {
  const { latitude } = unproject({ x: 0, y: camera.y });
  const perPixel = (EARTH_METRES * Math.cos((latitude * Math.PI) / 180)) / camera.scale;
  const power = 10 ** Math.floor(Math.log10(perPixel * most));
  const metres = [5, 2, 1].map((n) => n * power).find((m) => m <= perPixel * most) ?? power;
  return { metres, pixels: metres / perPixel };
}
