// Devices whose every reading is a function of time, so that live values, history and "latest" always agree and nothing is stored.

/** A hash of (text, n) in 0..1: the same noise for the same moment, always. */
export function noise(text, n) {
  let h = 2166136261 ^ n;
  for (let i = 0; i < text.length; i += 1) h = Math.imul(h ^ text.charCodeAt(i), 16777619);
  h ^= h >>> 15;
  h = Math.imul(h, 2246822507);
  h ^= h >>> 13;
  h = Math.imul(h, 3266489909);
  return ((h ^ (h >>> 16)) >>> 0) / 4294967296;
}

/** Noise with slopes: interpolated between knots `span` ms apart. */
function drift(key, t, span) {
  const k = Math.floor(t / span);
  const f = t / span - k;
  const s = f * f * (3 - 2 * f);
  return (noise(key, k) * (1 - s) + noise(key, k + 1) * s) * 2 - 1;
}
const clamp = (v, low, high) => Math.min(high, Math.max(low, v));
const round = (v, digits) => Number(v.toFixed(digits));
const daily = (t, peakHour) => Math.cos(((t / 3600000 - peakHour) / 24) * 2 * Math.PI);

const m = (name, unit, at, type = 'double') => ({ name, unit, type, at });
const KINDS = {
  machine: {
    step: 1000,
    metrics: [
      m('cpu', '%', (k, t) =>
        round(
          clamp(
            24 +
              14 * drift(k, t, 17000) +
              9 * drift(`${k}b`, t, 2600) +
              (noise(k, Math.floor(t / 41000)) > 0.86 ? 38 : 0) * (0.7 + 0.3 * drift(k, t, 900)),
            1,
            100,
          ),
          1,
        ),
      ),
      m('memory', '%', (k, t) => round(46 + 5 * drift(k, t, 240000) + 0.4 * drift(k, t, 5000), 2)),
      m('disk', '%', (k, t) => round(61.2 + 0.6 * drift(k, t, 3600000), 2)),
      m('network_in', 'B/s', (k, t) =>
        Math.round(
          clamp(
            190000 * (1 + 0.8 * drift(k, t, 8000)) + 1500000 * Math.max(0, drift(`${k}x`, t, 21000)) ** 3,
            900,
            1e9,
          ),
        ),
      ),
      m('network_out', 'B/s', (k, t) =>
        Math.round(
          clamp(
            70000 * (1 + 0.9 * drift(`${k}o`, t, 6000)) + 420000 * Math.max(0, drift(`${k}y`, t, 15000)) ** 3,
            400,
            1e9,
          ),
        ),
      ),
      m('temperature', '°C', (k, t) => round(51 + 6 * drift(k, t, 45000) + 0.5 * drift(k, t, 3000), 1)),
    ],
  },
  cold_chain: {
    step: 2000,
    metrics: [
      m('temperature', '°C', (k, t) =>
        round(
          -18.4 +
            1.6 * drift(k, t, 420000) +
            0.8 * Math.sin(t / 95000 + noise(k, 1) * 6) +
            0.15 * (noise(k, Math.floor(t / 2000)) - 0.5) +
            (noise(k, Math.floor(t / 2700000)) > 0.93 ? 6 : 0),
          2,
        ),
      ),
      m('humidity', '%', (k, t) =>
        round(clamp(62 + 9 * drift(`${k}h`, t, 600000) + noise(k, Math.floor(t / 2000)), 20, 99), 1),
      ),
      m('door_open', null, (k, t) => noise(`${k}d`, Math.floor(t / 47000)) > 0.93, 'bool'),
    ],
  },
  pump: {
    step: 1000,
    metrics: [
      m('pressure', 'bar', (k, t) =>
        round(
          4.2 +
            0.5 * drift(k, t, 60000) +
            0.06 * Math.sin(t / 900) +
            0.05 * (noise(k, Math.floor(t / 1000)) - 0.5),
          3,
        ),
      ),
      m('flow', 'm³/h', (k, t) =>
        round(
          clamp(
            31 + 8 * drift(`${k}f`, t, 90000) + 0.8 * (noise(`${k}f`, Math.floor(t / 1000)) - 0.5),
            0,
            80,
          ),
          2,
        ),
      ),
      m('vibration', 'mm/s', (k, t) =>
        round(1.1 + 0.5 * Math.abs(drift(`${k}v`, t, 30000)) + 0.3 * noise(`${k}v`, Math.floor(t / 1000)), 3),
      ),
      m('running', null, (k, t) => noise(`${k}r`, Math.floor(t / 600000)) > 0.04, 'bool'),
    ],
  },
  air_quality: {
    step: 5000,
    metrics: [
      m('pm2_5', 'µg/m³', (k, t) =>
        round(
          clamp(
            14 + 8 * daily(t, 18) + 6 * drift(k, t, 900000) + 1.4 * (noise(k, Math.floor(t / 5000)) - 0.5),
            0.5,
            300,
          ),
          1,
        ),
      ),
      m('co2', 'ppm', (k, t) =>
        Math.round(
          455 + 55 * daily(t, 7) + 40 * drift(`${k}c`, t, 700000) + 6 * noise(k, Math.floor(t / 5000)),
        ),
      ),
      m('temperature', '°C', (k, t) =>
        round(
          11 + 6 * daily(t, 15) + 1.5 * drift(`${k}t`, t, 1800000) + 0.1 * noise(k, Math.floor(t / 5000)),
          2,
        ),
      ),
    ],
  },
  inverter: {
    step: 2000,
    metrics: [
      m('power', 'W', (k, t) =>
        Math.round(
          clamp(
            5200 * Math.max(0.12, daily(t, 12.5)) * (0.82 + 0.18 * drift(k, t, 120000)) +
              60 * (noise(k, Math.floor(t / 2000)) - 0.5),
            0,
            6000,
          ),
        ),
      ),
      m('voltage', 'V', (k, t) =>
        round(231 + 2.4 * drift(`${k}u`, t, 40000) + 0.6 * (noise(`${k}u`, Math.floor(t / 2000)) - 0.5), 2),
      ),
      m('energy_today', 'kWh', (k, t) => round(((t % 86400000) / 86400000) * 28 + noise(k, 2), 2)),
    ],
  },
  vehicle: {
    step: 2000,
    metrics: [
      m('speed', 'km/h', (k, t) =>
        round(clamp(52 + 48 * drift(k, t, 80000) + 4 * drift(k, t, 5000), 0, 130), 1),
      ),
      m('fuel', '%', (k, t) => round(100 - ((t / 36000 + noise(k, 3) * 1000) % 92), 1)),
      m('engine_temperature', '°C', (k, t) => round(88 + 5 * drift(`${k}e`, t, 60000), 1)),
      m('gear', null, (k, t) => `D${1 + Math.floor(clamp(3 + 3 * drift(k, t, 80000), 0, 5))}`, 'string'),
    ],
  },
};

const SITES = ['north', 'south', 'harbour', 'old-town'];
const NAMES = {
  cold_chain: ['Cold room', 'Freezer', 'Loading dock', 'Vaccine store'],
  pump: ['Feed pump', 'Booster', 'Return pump', 'Drainage'],
  air_quality: ['Air station', 'Roof sensor', 'School yard', 'Ring road'],
  inverter: ['Roof east', 'Roof west', 'Carport', 'Field'],
  vehicle: ['Van', 'Truck', 'Reefer', 'Courier'],
};
const PREFIX = { cold_chain: 'cold', pump: 'pump', air_quality: 'air', inverter: 'solar', vehicle: 'fleet' };
const KIND_NAMES = Object.keys(PREFIX);

export class World {
  constructor({ devices = 0, demo = true, start = Date.now() } = {}) {
    this.start = start;
    this.devices = new Map();
    this.credentials = new Map(); // device -> list
    this.injected = new Map(); // device -> metric -> [[time, value]]
    this.letters = [];
    this.profiles = KIND_NAMES.map((profile) => ({
      profile,
      name: profile.replace('_', ' ').replace(/^./, (c) => c.toUpperCase()),
      metrics: KINDS[profile].metrics.map(({ name, type, unit }) => ({
        name,
        type,
        unit,
        min: null,
        max: null,
      })),
      silent_after: '5m',
      labels: {},
    }));
    this.add({
      device: 'this-machine',
      name: 'This machine',
      kind: 'machine',
      labels: { role: 'host' },
      demo: false,
    });
    if (demo) this.installDemo();
    for (let i = 0; i < devices; i += 1) {
      const kind = KIND_NAMES[i % 5];
      const id = `${PREFIX[kind]}-${String(1000 + i)}`;
      this.add({
        device: id,
        name: null,
        kind,
        profile: kind,
        labels: { site: SITES[i % 4], line: String(i % 12) },
        demo: false,
      });
    }
  }

  add({ device, name, kind, profile = null, labels = {}, demo, location = null }) {
    const roll = noise(device, 77);
    this.devices.set(device, {
      kind,
      body: {
        device,
        name,
        profile,
        labels,
        location,
        created_at: new Date(this.start - 40 * 86400000 * roll).toISOString(),
        demo,
      },
      // A few are silent, a few never came.
      silentSince: kind !== 'machine' && roll > 0.95 && roll < 0.985 ? this.start - 3600000 * roll * 4 : null,
      never: kind !== 'machine' && roll >= 0.985 && !demo,
    });
  }

  installDemo() {
    for (let i = 0; i < 50; i += 1) {
      const kind = KIND_NAMES[i % 5];
      const n = Math.floor(i / 5) + 1;
      const names = NAMES[kind];
      this.add({
        device: `${PREFIX[kind]}-${String(n).padStart(2, '0')}`,
        name: `${names[n % names.length]} ${n}`,
        kind,
        profile: kind,
        labels: { site: SITES[n % 4] },
        demo: true,
        location: {
          lat: 52.4 + noise(kind, n) / 5,
          lon: 13.2 + noise(kind, n + 50) / 3,
          place: `Hall ${1 + (n % 6)}`,
        },
      });
    }
  }

  removeDemo() {
    for (const [id, d] of this.devices) if (d.body.demo) this.devices.delete(id);
  }

  metrics(id) {
    const d = this.devices.get(id);
    const known = (d.kind ? KINDS[d.kind].metrics : []).map(({ name, type, unit }) => ({ name, type, unit }));
    if (d.never && !this.injected.has(id)) return [];
    for (const name of this.injected.get(id)?.keys() ?? []) {
      if (!known.some((k) => k.name === name)) {
        const value = this.injected.get(id).get(name).at(-1)?.[1];
        known.push({
          name,
          type: typeof value === 'number' ? 'double' : typeof value === 'boolean' ? 'bool' : 'string',
          unit: null,
        });
      }
    }
    return known;
  }

  step(id) {
    const d = this.devices.get(id);
    return d.kind ? KINDS[d.kind].step : 1000;
  }

  /** Offset within a step, so that devices do not report in one instant. */
  phase(id) {
    return Math.floor(noise(id, 5) * this.step(id));
  }

  speaks(id, t) {
    const d = this.devices.get(id);
    if (!d.kind || d.never) return false;
    if (d.silentSince && t > d.silentSince) return false;
    // Now and then the link drops for some minutes, to show a gap.
    return d.kind === 'machine' || noise(`${id}gap`, Math.floor(t / 420000)) < 0.97;
  }

  /** Times of readings in [from, to), newest `limit`. */
  times(id, from, to, limit = Number.POSITIVE_INFINITY) {
    const step = this.step(id);
    const phase = this.phase(id);
    const first = Math.max(Math.ceil((from - phase) / step), Math.ceil((to - phase) / step) - limit);
    const out = [];
    for (let k = first; k * step + phase < to; k += 1)
      if (this.speaks(id, k * step + phase)) out.push(k * step + phase);
    return out;
  }

  value(id, metric, t) {
    const d = this.devices.get(id);
    const found = d.kind && KINDS[d.kind].metrics.find((x) => x.name === metric);
    return found ? found.at(id, t) : undefined;
  }

  lastTime(id, now) {
    const d = this.devices.get(id);
    let last = Number.NEGATIVE_INFINITY;
    if (d.kind && !d.never) {
      const at = d.silentSince && d.silentSince < now ? d.silentSince : now;
      const step = this.step(id);
      const phase = this.phase(id);
      for (let k = Math.floor((at - phase) / step), n = 0; n < 1000; n += 1) {
        if (this.speaks(id, k * step + phase)) {
          last = k * step + phase;
          break;
        }
        // A gap lasts as long as its 7 minutes: to its beginning at once.
        k = Math.floor((Math.floor((k * step + phase) / 420000) * 420000 - 1 - phase) / step);
      }
    }
    for (const points of this.injected.get(id)?.values() ?? []) last = Math.max(last, points.at(-1)[0]);
    return last;
  }

  latest(id, now) {
    const out = {};
    const at = this.lastTime(id, now);
    if (!Number.isFinite(at)) return out;
    for (const { name, unit } of this.metrics(id)) {
      const injected = this.injected.get(id)?.get(name)?.at(-1);
      out[name] = injected
        ? { value: injected[1], time: new Date(injected[0]).toISOString(), unit }
        : { value: this.value(id, name, at), time: new Date(at).toISOString(), unit };
    }
    return out;
  }

  device(id, now, { latest = false } = {}) {
    const d = this.devices.get(id);
    const seen = this.lastTime(id, now);
    const silent = d.silentSince || now - seen > 300000;
    const state = !Number.isFinite(seen) ? 'never' : silent ? 'silent' : 'online';
    return {
      ...d.body,
      state,
      connected: state === 'online' && (d.kind === 'machine' || noise(id, 9) > 0.2),
      last_seen: Number.isFinite(seen) ? new Date(seen).toISOString() : null,
      metrics: this.metrics(id),
      ...(latest ? { latest: this.latest(id, now) } : {}),
    };
  }

  /** Raw points [ms, value] of one series in [from, to). */
  points(id, metric, from, to, limit) {
    const injected = (this.injected.get(id)?.get(metric) ?? []).filter(([t]) => t >= from && t < to);
    if (this.value(id, metric, from) === undefined) return injected;
    return [...this.times(id, from, to, limit).map((t) => [t, this.value(id, metric, t)]), ...injected].sort(
      (a, b) => a[0] - b[0],
    );
  }

  windows(id, metric, from, to, width, aggregates) {
    const out = [];
    const samples = Math.max(2, Math.min(12, Math.floor(width / this.step(id))));
    for (let start = Math.floor(from / width) * width; start < to; start += width) {
      const end = Math.min(start + width, Date.now());
      let values = (this.injected.get(id)?.get(metric) ?? [])
        .filter(([t]) => t >= start && t < end)
        .map((p) => p[1]);
      if (this.value(id, metric, start) !== undefined) {
        const step = Math.max(this.step(id), (end - start) / samples);
        for (let t = start; t < end; t += step)
          if (this.speaks(id, t)) values.push(this.value(id, metric, t));
      }
      values = values
        .map((v) => (typeof v === 'boolean' ? Number(v) : v))
        .filter((v) => typeof v === 'number');
      if (!values.length) continue;
      const sum = values.reduce((a, b) => a + b, 0);
      const by = {
        mean: sum / values.length,
        min: Math.min(...values),
        max: Math.max(...values),
        sum,
        count: values.length,
        first: values[0],
        last: values.at(-1),
      };
      out.push([start, ...aggregates.map((a) => round(by[a], 4))]);
    }
    return out;
  }
}
