/** What monitor/frames.py sends: indices into the cast's lists, -1 for nobody, null for what is not known. */

export type Num = number | null;

export interface Rsu {
  id: string;
  p: [Num, Num, Num]; // m, of the antenna
  range: Num; // m
  capacity: Num; // MHz
  cost: Num; // credit/MHz
  cap: Num; // credit/MHz
  region: string;
}

export interface Uav {
  id: string;
  alpha: Num; // credit
  size: Num; // Mbit
}

export interface Cast {
  name: string;
  rsus: Rsu[];
  uavs: Uav[];
  buildings: number[][]; // height, then x and y of each corner, m
  rho: Num;
  period: Num; // s
  origin: [number, number] | null;
  about: Record<string, string>;
}

export interface Sample {
  price: Num[];
  eq: Num[];
  sold: Num[];
  load: Num[];
  profit: Num[];
  twins: number[];
  state: string[];
  grants: [number, number, number][]; // UAV, RSU, MHz
  links: [number, number, number][]; // UAV, RSU, bit/s/Hz
  need: Num[];
  rate: Num[];
  g: Num[];
  spend: Num[];
  x: Num;
  mig: [number, number];
  down: Num; // ms
  health: { missed: number; refused: number; alarms: string[]; slow?: string };
}

export type Move = [number, number, number, string, Num, Num, Num]; // UAV, source, target, phase, Mbit, Mbit, Mbit/s
export type Happening = [number, string, string]; // s, kind, sentence

export interface Frame {
  t: number;
  p: Num[];
  h: number[];
  e?: Num[];
  a?: Num[];
  w?: number[];
  m?: Move[];
  r?: [number, number][];
  ev?: Happening[];
  s?: Sample;
}

export interface Run {
  label: string;
  cast: Cast;
  frames: Frame[];
}

export interface Page {
  runs: Run[];
  live: boolean;
  table?: [string, string, string, string][]; // of two runs: what, A, B, who is better off
}
