import type { Theme } from "./colour";
import type { Point } from "./view";

type Context = CanvasRenderingContext2D;

/** The path of an RSU. */
export function hexagon(c: Context, x: number, y: number, r: number): void {
  c.beginPath();
  for (let i = 0; i < 6; i++) c.lineTo(x + r * Math.sin((i * Math.PI) / 3), y - r * Math.cos((i * Math.PI) / 3));
  c.closePath();
}

/** The mark of an RSU that does not serve. */
export function hatch(c: Context, theme: Theme, x: number, y: number, r: number): void {
  c.save();
  hexagon(c, x, y, r);
  c.clip();
  c.strokeStyle = theme.bad;
  c.lineWidth = 1.2;
  c.beginPath();
  for (let d = -2 * r; d < 2 * r; d += 4) c.moveTo(x + d, y + r), c.lineTo(x + d + 2 * r, y - r);
  c.stroke();
  c.restore();
}

/** A piece of a curve, which is a function of [0, 1]. */
export function curve(c: Context, at: (s: number) => Point, from: number, to: number): void {
  c.beginPath();
  for (let i = 0; i <= 32; i++) {
    const p = at(from + ((to - from) * i) / 32);
    c.lineTo(p.x, p.y);
  }
  c.stroke();
}

/** A word on the map; with a halo where something is behind it. */
export function text(
  c: Context,
  theme: Theme,
  what: string,
  x: number,
  y: number,
  colour: string,
  align: CanvasTextAlign,
  size: number,
  halo = false,
  weight = 500,
): void {
  c.font = `${weight} ${size}px Inter, "Segoe UI", system-ui, sans-serif`;
  c.textAlign = align;
  if (halo) {
    c.strokeStyle = theme.dark ? "#0d131dd0" : "#f3f1ecd8";
    c.lineWidth = 3.5;
    c.lineJoin = "round";
    c.strokeText(what, x, y);
  }
  c.fillStyle = colour;
  c.fillText(what, x, y);
}
