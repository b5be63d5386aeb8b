/** The game of one instant, in the page: docs/game.md. The same closed forms as uav_twin_migration/game. */

import type { Cast, Sample } from "./types";

export interface Market {
  alpha: number[]; // [N] credit
  need: number[]; // [N] Mbit/s
  links: [number, number][][]; // [N] of RSU and bit/s/Hz, the links of a UAV's market
  cost: number[]; // [M] credit/MHz
  capacity: number[]; // [M] MHz
  cap: number[]; // [M] credit/MHz
  rho: number;
}

const GRID = 48; // prices that are looked at before the best is refined: profit can have several peaks
const REFINE = 40;
const ROUNDS = 60;
const CLOSE = 1e-7;

/** The market of a sample; null where somebody's private values are not known. */
export function marketOf(cast: Cast, sample: Sample): Market | null {
  const { rsus, uavs } = cast;
  const known = rsus.every((r) => r.cost !== null && r.cap !== null) && uavs.every((u) => u.alpha !== null);
  if (!known || cast.rho === null || sample.need.some((d) => d === null)) return null;
  const links: [number, number][][] = uavs.map(() => []);
  for (const [uav, rsu, efficiency] of sample.links) links[uav]?.push([rsu, efficiency]);
  return {
    alpha: uavs.map((u) => u.alpha as number),
    need: sample.need as number[],
    links,
    cost: rsus.map((r) => r.cost as number),
    capacity: rsus.map((r) => r.capacity ?? Infinity),
    cap: rsus.map((r) => r.cap as number),
    rho: cast.rho,
  };
}

/** What a UAV buys at these prices: MHz from each RSU of its links, and its effective rate, Mbit/s. */
export function respond(market: Market, uav: number, price: number[]): { bandwidth: number[]; rate: number } {
  const links = market.links[uav];
  const none = { bandwidth: links.map(() => 0), rate: 0 };
  const sum = links.reduce((total, [, e]) => total + e, 0);
  if (!sum) return none;
  const k = -market.rho / (1 - market.rho); // 1 - sigma
  const logs = links.map(([rsu, e]) => k * Math.log(price[rsu] / e));
  const top = Math.max(...logs);
  const terms = links.map(([, e], i) => (e / sum) * Math.exp(logs[i] - top));
  const total = terms.reduce((a, b) => a + b, 0);
  const index = Math.exp((top + Math.log(total)) / k); // credit per Mbit/s
  const spent = market.alpha[uav] - market.need[uav] * index;
  if (spent <= 0) return none;
  return {
    bandwidth: links.map(([rsu], i) => ((terms[i] / total) * spent) / price[rsu]),
    rate: market.alpha[uav] / index - market.need[uav],
  };
}

/** What an RSU earns in a round at a price, the others' standing still, credit. */
export function profit(market: Market, rsu: number, own: number, price: number[], buyers: number[]): number {
  const all = price.slice();
  all[rsu] = own;
  let demand = 0;
  for (const uav of buyers) {
    const at = market.links[uav].findIndex((link) => link[0] === rsu);
    demand += respond(market, uav, all).bandwidth[at];
  }
  return (own - market.cost[rsu]) * Math.min(demand, market.capacity[rsu]);
}

/** UAVs that have a link to an RSU. */
export function buyersOf(market: Market, rsu: number): number[] {
  return market.alpha.map((_, uav) => uav).filter((uav) => market.links[uav].some((link) => link[0] === rsu));
}

/** The most profitable price of one RSU, the others' standing still, and the profit there. */
export function bestPrice(market: Market, rsu: number, price: number[], buyers: number[]): [number, number] {
  if (!buyers.length) return [market.cost[rsu], 0];
  const low = Math.log(market.cost[rsu]);
  const step = (Math.log(market.cap[rsu]) - low) / GRID;
  const value = (log: number) => profit(market, rsu, Math.exp(log), price, buyers);
  let best = 0;
  let most = -Infinity;
  for (let i = 0; i <= GRID; i++) {
    const here = value(low + i * step);
    if (here > most) [best, most] = [i, here];
  }
  let a = low + Math.max(best - 1, 0) * step;
  let b = low + Math.min(best + 1, GRID) * step;
  const golden = (Math.sqrt(5) - 1) / 2;
  let [c, d] = [b - golden * (b - a), a + golden * (b - a)];
  let [fc, fd] = [value(c), value(d)];
  for (let i = 0; i < REFINE; i++) {
    if (fc > fd) {
      [b, d, fd] = [d, c, fc];
      c = b - golden * (b - a);
      fc = value(c);
    } else {
      [a, c, fc] = [c, d, fd];
      d = a + golden * (b - a);
      fd = value(d);
    }
  }
  const own = Math.exp((a + b) / 2);
  const there = profit(market, rsu, own, price, buyers);
  return there > most ? [own, there] : [Math.exp(low + best * step), most];
}

/** Prices at which no RSU gains by moving alone; null where best replies do not settle. */
export function equilibrium(market: Market, start: number[]): number[] | null {
  const buyers = market.cost.map((_, rsu) => buyersOf(market, rsu));
  const price = market.cost.map((cost, rsu) => Math.min(Math.max(start[rsu] || cost, cost), market.cap[rsu]));
  for (let round = 0; round < ROUNDS; round++) {
    let moved = 0;
    for (let rsu = 0; rsu < price.length; rsu++) {
      const [own] = bestPrice(market, rsu, price, buyers[rsu]);
      moved = Math.max(moved, Math.abs(Math.log(own / price[rsu])));
      price[rsu] = own;
    }
    if (moved < CLOSE * 1e2) return price;
  }
  return null;
}

/** The instant as a file that `uavtwin solve` and `uavtwin respond` read. */
export function marketFile(market: Market, price: number[]): object {
  const efficiency = market.links.map((links) => {
    const row = market.cost.map(() => 0);
    for (const [rsu, e] of links) row[rsu] = e;
    return row;
  });
  return {
    alpha: market.alpha,
    required_rate: market.need,
    efficiency,
    unit_cost: market.cost,
    capacity: market.capacity.map((b) => (Number.isFinite(b) ? b : null)),
    price_cap: market.cap,
    rho: market.rho,
    prices: price,
  };
}
