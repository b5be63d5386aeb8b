import type { Cast } from "./types";

/** Okabe and Ito's colours, which people who see fewer of them tell apart; a darker and a lighter set. */
const ON_DARK = ["#56B4E9", "#E69F00", "#21C99A", "#F0E442", "#E58BC2", "#FF7A45", "#9DB4FF", "#C8D0DA"];
const ON_LIGHT = ["#0072B2", "#C77F00", "#00835F", "#8A7A00", "#B5538F", "#C84A00", "#4054C8", "#5A6472"];

export interface Theme {
  dark: boolean;
  ground: string;
  ink: string;
  faint: string;
  line: string;
  bad: string;
  street: string;
  hosts: string[];
  roof(height: number): string;
  shadow: string;
}

export function theme(dark: boolean): Theme {
  const tall = (height: number) => Math.min(Math.sqrt(Math.max(height, 0) / 70), 1);
  return dark
    ? {
        dark,
        ground: "#0d131d",
        ink: "#e8edf4",
        faint: "#8d9bb0",
        line: "#26324480",
        bad: "#ff6b5e",
        street: "#131b28",
        hosts: ON_DARK,
        roof: (height) => `hsl(216 22% ${13 + 17 * tall(height)}%)`,
        shadow: "#05080d90",
      }
    : {
        dark,
        ground: "#f3f1ec",
        ink: "#18202b",
        faint: "#626d7c",
        line: "#c9c4b880",
        bad: "#c4281b",
        street: "#faf9f6",
        hosts: ON_LIGHT,
        roof: (height) => `hsl(38 14% ${88 - 22 * tall(height)}%)`,
        shadow: "#3a332820",
      };
}

/** A colour number for each RSU: its own; of more than there are colours its region's, or its district's. */
export function colours(cast: Cast, count: number): number[] {
  const { rsus } = cast;
  const regions = [...new Set(rsus.map((rsu) => rsu.region).filter(Boolean))];
  if (rsus.length > count && regions.length > 1) return rsus.map((rsu) => Math.max(regions.indexOf(rsu.region), 0) % count);
  if (rsus.length <= count) return rsus.map((_, m) => m);
  const xs = rsus.map((rsu) => rsu.p[0] ?? 0);
  const ys = rsus.map((rsu) => rsu.p[1] ?? 0);
  const cell = (v: number, all: number[], parts: number) => {
    const [low, high] = [Math.min(...all), Math.max(...all)];
    return Math.min(Math.floor(((v - low) / (high - low || 1)) * parts), parts - 1);
  };
  return rsus.map((_, m) => (cell(xs[m], xs, 4) + 4 * cell(ys[m], ys, 2)) % count);
}
