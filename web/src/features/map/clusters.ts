import type { Point } from './mercator';

export interface Cluster<T> {
  x: number;
  y: number;
  members: T[];
}

/** Puts together what would lie on top of each other on the screen: within `radius` pixels of the first one. */
export function cluster<T extends { at: Point }>(items: T[], radius: number): Cluster<T>[] {
  const cells = new Map<string, Cluster<T>[]>();
  const found: Cluster<T>[] = [];
  for (const item of items) {
    const { x, y } = item.at;
    const column = Math.floor(x / radius);
    const row = Math.floor(y / radius);
    let home: Cluster<T> | undefined;
    for (let c = column - 1; c <= column + 1 && !home; c += 1) {
      for (let r = row - 1; r <= row + 1 && !home; r += 1)
        home = cells.get(`${c},${r}`)?.find((k) => Math.hypot(k.x - x, k.y - y) < radius);
    }
    if (home) home.members.push(item);
    else {
      const fresh = { x, y, members: [item] };
      found.push(fresh);
      const key = `${column},${row}`;
      const cell = cells.get(key);
      if (cell) cell.push(fresh);
      else cells.set(key, [fresh]);
    }
  }
  return found;
}
