import type { Cast, Frame, Happening, Num, Run, Sample } from "./types";

const MOST_FRAMES = 6000; // of a live city: ten minutes and more

/** What the charts draw, a value each sample. */
export interface Series {
  t: number[];
  price: Num[][]; // by RSU
  eq: Num[][]; // by RSU
  x: Num[];
  low: Num[];
  mean: Num[];
  high: Num[];
  moved: Num[];
  down: Num[];
  age: Num[];
}

/** Frames of one run, by time. */
export class Track {
  cast: Cast;
  label: string;
  frames: Frame[] = [];
  samples: { t: number; s: Sample; age: Num }[] = [];
  events: Happening[] = [];
  version = 0; // rises with every sample

  constructor(run: Run) {
    this.cast = run.cast;
    this.label = run.label;
    for (const frame of run.frames) this.add(frame);
  }

  add(frame: Frame): void {
    const last = this.frames[this.frames.length - 1];
    if (last && frame.t < last.t) {
      this.frames = [];
      this.samples = []; // a new run, with a clock that begins anew
      this.events = [];
    }
    this.frames.push(frame);
    if (frame.s) {
      this.samples.push({ t: frame.t, s: frame.s, age: mean(frame.a ?? []) });
      this.version++;
    }
    if (frame.ev) this.events.push(...frame.ev);
    if (this.frames.length > MOST_FRAMES) {
      this.frames.splice(0, MOST_FRAMES / 4);
      const first = this.frames[0].t;
      this.samples = this.samples.filter((one) => one.t >= first);
      this.events = this.events.filter((one) => one[0] >= first);
    }
  }

  get start(): number {
    return this.frames.length ? this.frames[0].t : 0;
  }

  get end(): number {
    return this.frames.length ? this.frames[this.frames.length - 1].t : 0;
  }

  /** The frame at or before a time, the one after it, and how far it is between them. */
  at(t: number): [Frame, Frame, number] | null {
    if (!this.frames.length) return null;
    const i = last(this.frames, t, (frame) => frame.t);
    const now = this.frames[i];
    const next = this.frames[Math.min(i + 1, this.frames.length - 1)];
    const span = next.t - now.t;
    return [now, next, span > 0 ? Math.min(Math.max((t - now.t) / span, 0), 1) : 0];
  }

  sample(t: number): Sample | null {
    if (!this.samples.length) return null;
    return this.samples[last(this.samples, t, (one) => one.t)].s;
  }

  series(): Series {
    const rsus = this.cast.rsus.map((_, m) => m);
    const from = (read: (s: Sample) => Num): Num[] => this.samples.map((one) => read(one.s));
    const spread = this.samples.map((one) => one.s.g.filter((g): g is number => g !== null).sort((a, b) => a - b));
    return {
      t: this.samples.map((one) => one.t),
      price: rsus.map((m) => from((s) => s.price[m] ?? null)),
      eq: rsus.map((m) => from((s) => s.eq[m] ?? null)),
      x: from((s) => (s.x === null ? null : Math.max(s.x, 1e-5))),
      low: spread.map((g) => quantile(g, 0.1)),
      mean: spread.map(mean),
      high: spread.map((g) => quantile(g, 0.9)),
      moved: from((s) => s.mig[0]),
      down: from((s) => s.down),
      age: this.samples.map((one) => one.age),
    };
  }
}

export function mean(values: Num[]): Num {
  const known = values.filter((value): value is number => value !== null);
  return known.length ? known.reduce((a, b) => a + b, 0) / known.length : null;
}

export function quantile(sorted: number[], share: number): Num {
  if (!sorted.length) return null;
  const at = share * (sorted.length - 1);
  const low = Math.floor(at);
  return sorted[low] + (at - low) * ((sorted[low + 1] ?? sorted[low]) - sorted[low]);
}

/** Index of the last item at or before t; 0 where all are later. */
function last<T>(items: T[], t: number, time: (item: T) => number): number {
  let low = 0;
  let high = items.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (time(items[middle]) <= t + 1e-9) low = middle;
    else high = middle - 1;
  }
  return low;
}
