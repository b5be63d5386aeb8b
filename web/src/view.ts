import type { Track } from "./track";

const MARGIN = 26; // px around the city

export interface Pick {
  kind: "rsu" | "uav";
  index: number;
}

export interface Point {
  x: number;
  y: number;
}

/** What of a city is seen, and how large: metres east and north to pixels and back; fingers, wheel and what is near them. */
export class View {
  followed: number | null = null;
  hovered: Pick | null = null;
  onPick: (pick: Pick | null) => void = () => {};
  position: (Point | null)[] = []; // m, where the UAVs are shown
  size = { w: 0, h: 0, dpr: 1 };
  centre: Point = { x: 0, y: 0 };
  scale = 1; // px/m
  fitted = false;

  constructor(
    readonly canvas: HTMLCanvasElement,
    readonly track: Track,
  ) {
    this.listen();
  }

  fit(): void {
    const { cast } = this.track;
    const xs: number[] = [];
    const ys: number[] = [];
    for (const rsu of cast.rsus) if (rsu.p[0] !== null && rsu.p[1] !== null) [xs.push(rsu.p[0]), ys.push(rsu.p[1])];
    for (const b of cast.buildings) for (let i = 1; i + 1 < b.length; i += 2) [xs.push(b[i]), ys.push(b[i + 1])];
    const frame = this.track.frames[this.track.frames.length - 1];
    if (!cast.buildings.length && frame)
      for (let i = 0; i + 2 < frame.p.length; i += 3)
        if (frame.p[i] !== null) [xs.push(frame.p[i] as number), ys.push(frame.p[i + 1] as number)];
    if (!xs.length) [xs.push(-500, 500), ys.push(-500, 500)];
    const [x0, x1, y0, y1] = [min(xs), max(xs), min(ys), max(ys)];
    this.centre = { x: (x0 + x1) / 2, y: (y0 + y1) / 2 };
    const { w, h } = this.size;
    const room = Math.min((w - 2 * MARGIN) / Math.max(x1 - x0, 200), (h - 2 * MARGIN) / Math.max(y1 - y0, 200));
    this.scale = Math.max(room, 1e-3);
    this.fitted = w > 0 && this.track.frames.length > 0;
  }

  zoom(factor: number, at?: Point): void {
    const here = at ?? { x: this.size.w / 2, y: this.size.h / 2 };
    const before = this.world(here);
    this.scale = Math.min(Math.max(this.scale * factor, 0.005), 20);
    const after = this.world(here);
    if (this.followed === null) {
      this.centre.x += before.x - after.x;
      this.centre.y += before.y - after.y;
    }
  }

  pan(dx: number, dy: number): void {
    this.followed = null;
    this.centre.x -= dx / this.scale;
    this.centre.y += dy / this.scale;
  }

  x(x: number): number {
    return this.size.w / 2 + (x - this.centre.x) * this.scale;
  }

  y(y: number): number {
    return this.size.h / 2 - (y - this.centre.y) * this.scale;
  }

  world(at: Point): Point {
    return {
      x: this.centre.x + (at.x - this.size.w / 2) / this.scale,
      y: this.centre.y - (at.y - this.size.h / 2) / this.scale,
    };
  }

  private listen(): void {
    const fingers = new Map<number, Point>();
    let moved = 0;
    const here = (event: PointerEvent | WheelEvent): Point => {
      const box = this.canvas.getBoundingClientRect();
      return { x: event.clientX - box.left, y: event.clientY - box.top };
    };
    this.canvas.addEventListener("pointerdown", (event) => {
      this.canvas.setPointerCapture(event.pointerId);
      fingers.set(event.pointerId, here(event));
      moved = 0;
    });
    this.canvas.addEventListener("pointermove", (event) => {
      const before = fingers.get(event.pointerId);
      const now = here(event);
      if (!before) {
        this.hovered = this.near(now);
        this.canvas.style.cursor = this.hovered ? "pointer" : "grab";
        return;
      }
      const others = [...fingers].filter(([id]) => id !== event.pointerId).map(([, at]) => at);
      if (others.length) {
        const apart = (at: Point) => Math.hypot(at.x - others[0].x, at.y - others[0].y);
        this.zoom(apart(now) / Math.max(apart(before), 1), others[0]);
      } else if ((moved += Math.hypot(now.x - before.x, now.y - before.y)) > 4) {
        this.pan(now.x - before.x, now.y - before.y);
      }
      fingers.set(event.pointerId, now);
    });
    const lift = (event: PointerEvent): void => {
      if (fingers.delete(event.pointerId) && moved <= 4 && event.type === "pointerup") this.onPick(this.near(here(event)));
    };
    this.canvas.addEventListener("pointerup", lift);
    this.canvas.addEventListener("pointercancel", lift);
    this.canvas.addEventListener(
      "wheel",
      (event) => {
        event.preventDefault();
        this.zoom(Math.exp(-event.deltaY * 0.0015), here(event));
      },
      { passive: false },
    );
  }

  private near(at: Point): Pick | null {
    let found: Pick | null = null;
    let least = 20;
    const look = (kind: "rsu" | "uav", index: number, x: number, y: number) => {
      const distance = Math.hypot(this.x(x) - at.x, this.y(y) - at.y);
      if (distance < least) [found, least] = [{ kind, index }, distance];
    };
    this.track.cast.rsus.forEach((rsu, m) => rsu.p[0] !== null && look("rsu", m, rsu.p[0], rsu.p[1] as number));
    this.position.forEach((p, n) => p && look("uav", n, p.x, p.y));
    return found;
  }

  /** Fill the canvas's place on the page; whether that has changed. */
  resize(): boolean {
    const dpr = Math.min(window.devicePixelRatio || 1, 2);
    const { clientWidth: w, clientHeight: h } = this.canvas;
    if (w === this.size.w && h === this.size.h && dpr === this.size.dpr) return false;
    this.size = { w, h, dpr };
    this.canvas.width = Math.round(w * dpr);
    this.canvas.height = Math.round(h * dpr);
    this.fitted = false;
    return true;
  }
}

const min = (values: number[]): number => values.reduce((a, b) => Math.min(a, b), Infinity);
const max = (values: number[]): number => values.reduce((a, b) => Math.max(a, b), -Infinity);
