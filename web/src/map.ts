import { curve, hatch, hexagon, text } from "./brush";
import type { Theme } from "./colour";
import { colours } from "./colour";
import type { Track } from "./track";
import type { Frame, Num, Sample } from "./types";
import { type Pick, type Point, View } from "./view";

const TRAIL = 14; // s of flight behind a UAV

/** A city from above, on a canvas. */
export class CityMap extends View {
  drawn = -1; // s, the time that is shown
  picked: Pick | null = null;
  private context: CanvasRenderingContext2D;
  private ground = document.createElement("canvas"); // what stands still, drawn once for each view
  private groundKey = "";
  private colour: number[] = [];
  private colourKey = -1;

  constructor(
    canvas: HTMLCanvasElement,
    track: Track,
    private theme: Theme,
  ) {
    super(canvas, track);
    this.context = canvas.getContext("2d", { alpha: false }) as CanvasRenderingContext2D;
  }

  setTheme(theme: Theme): void {
    this.theme = theme;
    this.groundKey = "";
  }

  /** The colour of an RSU's twins. */
  host(rsu: number): string {
    if (this.colourKey !== this.track.cast.rsus.length) {
      this.colourKey = this.track.cast.rsus.length;
      this.colour = colours(this.track.cast, this.theme.hosts.length);
    }
    return rsu < 0 ? this.theme.faint : this.theme.hosts[this.colour[rsu]];
  }

  // -- drawing --------------------------------------------------------------------------------------------------------

  draw(t: number): void {
    if (this.resize()) {
      [this.ground.width, this.ground.height] = [this.canvas.width, this.canvas.height];
      this.groundKey = "";
    }
    if (!this.fitted) this.fit();
    const found = this.track.at(t);
    const c = this.context;
    c.setTransform(this.size.dpr, 0, 0, this.size.dpr, 0, 0);
    if (!found) {
      c.fillStyle = this.theme.ground;
      c.fillRect(0, 0, this.size.w, this.size.h);
      text(c, this.theme, "waiting for the first word from the city", this.size.w / 2, this.size.h / 2, this.theme.faint, "center", 13);
      return;
    }
    this.drawn = t;
    const [frame, next, part] = found;
    const position = between(frame.p, next.p, part);
    const estimate = frame.e ? between(frame.e, next.e ?? frame.e, part) : position;
    this.position = this.followed === null ? position : estimate.map((p, n) => p ?? position[n]);
    if (this.followed !== null) {
      const at = this.position[this.followed];
      if (at) this.centre = { ...at };
    }
    this.drawGround();
    const sample = this.track.sample(t);
    if (sample) this.drawGrants(sample, position);
    this.drawReplicas(frame, position);
    this.drawTrails(t, frame);
    this.drawMoves(frame, next, part);
    if (sample) this.drawRsus(sample);
    this.drawUavs(frame, next, position, estimate);
    this.drawScale();
  }

  private drawGround(): void {
    const key = [this.centre.x, this.centre.y, this.scale, this.size.w, this.size.h, this.theme.dark, this.colourKey].join();
    if (key !== this.groundKey) {
      this.groundKey = key;
      this.paintGround(this.ground.getContext("2d", { alpha: false }) as CanvasRenderingContext2D);
    }
    const c = this.context;
    c.setTransform(1, 0, 0, 1, 0, 0);
    c.drawImage(this.ground, 0, 0);
    c.setTransform(this.size.dpr, 0, 0, this.size.dpr, 0, 0);
  }

  private paintGround(c: CanvasRenderingContext2D): void {
    const { cast } = this.track;
    c.setTransform(this.size.dpr, 0, 0, this.size.dpr, 0, 0);
    c.fillStyle = this.theme.ground;
    c.fillRect(0, 0, this.size.w, this.size.h);
    const grid = 10 ** Math.ceil(Math.log10(60 / this.scale));
    c.strokeStyle = this.theme.line;
    c.lineWidth = 0.5;
    c.beginPath();
    const [a, b] = [this.world({ x: 0, y: this.size.h }), this.world({ x: this.size.w, y: 0 })];
    for (let x = Math.ceil(a.x / grid) * grid; x < b.x; x += grid) c.moveTo(this.x(x), 0), c.lineTo(this.x(x), this.size.h);
    for (let y = Math.ceil(a.y / grid) * grid; y < b.y; y += grid) c.moveTo(0, this.y(y)), c.lineTo(this.size.w, this.y(y));
    c.stroke();
    for (const [m, rsu] of cast.rsus.entries()) {
      if (rsu.p[0] === null || rsu.p[1] === null || !rsu.range) continue;
      const [x, y, r] = [this.x(rsu.p[0]), this.y(rsu.p[1]), rsu.range * this.scale];
      const glow = c.createRadialGradient(x, y, 0, x, y, r);
      glow.addColorStop(0, this.host(m) + (this.theme.dark ? "26" : "22"));
      glow.addColorStop(1, this.host(m) + "00");
      c.fillStyle = glow;
      c.beginPath();
      c.arc(x, y, r, 0, 7);
      c.fill();
      c.strokeStyle = this.host(m) + "40";
      c.lineWidth = 1;
      c.setLineDash([2, 5]);
      c.stroke();
      c.setLineDash([]);
    }
    const low = [...cast.buildings].sort((one, other) => one[0] - other[0]);
    for (const building of low) {
      const lift = Math.min(building[0] * this.scale * 0.22, 14);
      c.fillStyle = this.theme.shadow;
      this.polygon(c, building, lift, lift);
      c.fill();
    }
    for (const building of low) {
      c.fillStyle = this.theme.roof(building[0]);
      this.polygon(c, building, 0, 0);
      c.fill();
      c.strokeStyle = this.theme.dark ? "#ffffff0c" : "#00000014";
      c.lineWidth = 1;
      c.stroke();
    }
  }

  private polygon(c: CanvasRenderingContext2D, building: number[], dx: number, dy: number): void {
    c.beginPath();
    for (let i = 1; i + 1 < building.length; i += 2) c.lineTo(this.x(building[i]) + dx, this.y(building[i + 1]) + dy);
    c.closePath();
  }

  private drawGrants(sample: Sample, position: (Point | null)[]): void {
    const c = this.context;
    const { rsus } = this.track.cast;
    const chosen = this.picked ?? (this.followed === null ? null : { kind: "uav", index: this.followed });
    c.lineCap = "round";
    for (const [n, m, share] of sample.grants) {
      const [from, to] = [position[n], rsus[m]];
      if (!from || !to || to.p[0] === null || to.p[1] === null) continue;
      const ours = chosen && (chosen.kind === "uav" ? chosen.index === n : chosen.index === m);
      if (!ours && share < 0.02) continue;
      c.globalAlpha = ours ? 0.95 : chosen ? 0.1 : 0.34;
      c.lineWidth = Math.min(Math.max(1.6 * Math.sqrt(share), 0.6), 6);
      c.strokeStyle = this.host(m);
      c.beginPath();
      c.moveTo(this.x(from.x), this.y(from.y));
      c.lineTo(this.x(to.p[0]), this.y(to.p[1]));
      c.stroke();
    }
    c.globalAlpha = 1;
  }

  private drawReplicas(frame: Frame, position: (Point | null)[]): void {
    const c = this.context;
    c.lineWidth = 0.8;
    c.setLineDash([1, 4]);
    for (const [n, m] of frame.r ?? []) {
      const [from, rsu] = [position[n], this.track.cast.rsus[m]];
      if (!from || rsu.p[0] === null || rsu.p[1] === null) continue;
      c.strokeStyle = this.host(m);
      c.beginPath();
      c.moveTo(this.x(from.x), this.y(from.y));
      c.lineTo(this.x(rsu.p[0]), this.y(rsu.p[1]));
      c.stroke();
    }
    c.setLineDash([]);
  }

  private drawTrails(t: number, now: Frame): void {
    const c = this.context;
    const { frames } = this.track;
    const end = frames.indexOf(now);
    let start = end;
    while (start > 0 && frames[start].t > t - TRAIL) start--;
    if (now.h.length > 60) return;
    c.lineWidth = 1.6;
    for (let n = 0; n < now.h.length; n++) {
      c.strokeStyle = this.host(now.h[n]);
      for (let i = start; i < end; i++) {
        const [a, b] = [frames[i].p, frames[i + 1].p];
        if (a[3 * n] == null || b[3 * n] == null) continue;
        c.globalAlpha = (0.5 * (i - start)) / Math.max(end - start, 1);
        c.beginPath();
        c.moveTo(this.x(a[3 * n] as number), this.y(a[3 * n + 1] as number));
        c.lineTo(this.x(b[3 * n] as number), this.y(b[3 * n + 1] as number));
        c.stroke();
      }
    }
    c.globalAlpha = 1;
  }

  /** Twins on their way: an arc from host to host, full so far as they have come. */
  private drawMoves(frame: Frame, next: Frame, part: number): void {
    const c = this.context;
    for (const move of frame.m ?? []) {
      const [n, source, target, phase, size, sent] = move;
      const [a, b] = [this.track.cast.rsus[source], this.track.cast.rsus[target]];
      if (!a || !b || a.p[0] === null || b.p[0] === null) continue;
      const later = next.m?.find((other) => other[0] === n && other[2] === target);
      const to = later?.[5] ?? sent ?? 0;
      const done = size ? Math.min(((sent ?? 0) + part * (to - (sent ?? 0))) / size, 1) : 0.5;
      const from = { x: this.x(a.p[0]), y: this.y(a.p[1] as number) };
      const goal = { x: this.x(b.p[0]), y: this.y(b.p[1] as number) };
      const bend = 0.16 + 0.035 * (n % 5);
      const over = {
        x: (from.x + goal.x) / 2 - (goal.y - from.y) * bend,
        y: (from.y + goal.y) / 2 + (goal.x - from.x) * bend,
      };
      const at = (s: number): Point => ({
        x: (1 - s) ** 2 * from.x + 2 * s * (1 - s) * over.x + s * s * goal.x,
        y: (1 - s) ** 2 * from.y + 2 * s * (1 - s) * over.y + s * s * goal.y,
      });
      c.strokeStyle = this.host(target);
      c.lineWidth = 1.4;
      c.globalAlpha = 0.45;
      c.setLineDash([3, 5]);
      curve(c, at, 0, 1);
      c.setLineDash([]);
      c.globalAlpha = 1;
      c.lineWidth = 3;
      curve(c, at, 0, done);
      const dot = at(done);
      c.fillStyle = this.theme.ground;
      c.beginPath();
      c.arc(dot.x, dot.y, 7, 0, 7);
      c.fill();
      c.lineWidth = 2.4;
      c.stroke();
      c.fillStyle = phase === "copying" || phase === "offering" ? this.host(source) : this.host(target);
      c.beginPath();
      c.arc(dot.x, dot.y, 3.4, 0, 7);
      c.fill();
      if (frame.h.length <= 40) {
        const label = size ? `${this.track.cast.uavs[n].id}  ${Math.round(100 * done)} %` : this.track.cast.uavs[n].id;
        text(c, this.theme, label, dot.x + 11, dot.y + 4, this.theme.ink, "left", 11, true);
      }
    }
  }

  private drawRsus(sample: Sample): void {
    const c = this.context;
    const { rsus } = this.track.cast;
    const many = rsus.length > 24 || this.scale < 0.12;
    for (const [m, rsu] of rsus.entries()) {
      if (rsu.p[0] === null || rsu.p[1] === null) continue;
      const [x, y] = [this.x(rsu.p[0]), this.y(rsu.p[1])];
      if (x < -80 || y < -80 || x > this.size.w + 80 || y > this.size.h + 80) continue;
      const colour = this.host(m);
      const state = sample.state[m] ?? "ok";
      const lit = this.is(this.picked, "rsu", m) || this.is(this.hovered, "rsu", m);
      const r = many ? 7 : 11;
      c.fillStyle = this.theme.ground;
      c.strokeStyle = state === "ok" ? colour : this.theme.bad;
      c.lineWidth = lit ? 4 : 2.2;
      hexagon(c, x, y, r);
      c.fill();
      c.stroke();
      c.fillStyle = colour + (state === "ok" ? "50" : "18");
      c.fill();
      if (state !== "ok") hatch(c, this.theme, x, y, r);
      if (!many) text(c, this.theme, String(sample.twins[m] ?? 0), x, y + 4, this.theme.ink, "center", 11, false, 700);
      if (many) continue;
      const price = sample.price[m];
      const fair = sample.eq[m];
      const top = y + r + 15;
      text(c, this.theme, rsu.id, x, top, this.theme.ink, "center", 11, true, 650);
      const line = `${price == null ? "–" : price.toFixed(2)}${fair == null ? "" : `  ⇢ ${fair.toFixed(2)}`}`;
      text(c, this.theme, line, x, top + 14, this.theme.faint, "center", 11, true);
      const load = Math.min(sample.load[m] ?? 0, 1);
      c.fillStyle = this.theme.dark ? "#00000080" : "#ffffffb0";
      c.fillRect(x - 22, top + 19, 44, 4);
      c.fillStyle = load > 0.9 ? this.theme.bad : colour;
      c.fillRect(x - 22, top + 19, 44 * load, 4);
      if (state !== "ok") text(c, this.theme, state, x, y - r - 6, this.theme.bad, "center", 11, true, 650);
    }
  }

  private drawUavs(frame: Frame, next: Frame, position: (Point | null)[], estimate: (Point | null)[]): void {
    const c = this.context;
    const many = position.length > 40;
    for (let n = 0; n < position.length; n++) {
      const truth = position[n];
      if (!truth) continue;
      const followed = this.followed === n;
      const at = followed ? (estimate[n] ?? truth) : truth;
      const [x, y] = [this.x(at.x), this.y(at.y)];
      if (x < -40 || y < -40 || x > this.size.w + 40 || y > this.size.h + 40) continue;
      const host = frame.h[n] ?? -1;
      const wanted = frame.w?.[n] ?? host;
      const lit = followed || this.is(this.picked, "uav", n) || this.is(this.hovered, "uav", n);
      const r = many ? 4 : lit ? 8 : 6;
      if (followed) this.drawGhost(frame, n, truth, at);
      if (wanted !== host && wanted >= 0) {
        c.strokeStyle = this.host(wanted);
        c.lineWidth = 2;
        c.beginPath();
        c.arc(x, y, r + 4.5, 0, 7);
        c.stroke();
      }
      const [dx, dy] = heading(frame.p, next.p, n);
      if (dx || dy) {
        c.fillStyle = host < 0 ? this.theme.faint : this.host(host);
        c.beginPath();
        c.moveTo(x + dx * (r + 6), y - dy * (r + 6));
        c.lineTo(x - dy * r * 0.75 + dx * r * 0.6, y - dx * r * 0.75 - dy * r * 0.6);
        c.lineTo(x + dy * r * 0.75 + dx * r * 0.6, y + dx * r * 0.75 - dy * r * 0.6);
        c.fill();
      }
      c.beginPath();
      c.arc(x, y, r, 0, 7);
      c.fillStyle = host < 0 ? this.theme.ground : this.host(host);
      c.fill();
      c.strokeStyle = host < 0 ? this.theme.bad : lit ? this.theme.ink : this.theme.ground;
      c.lineWidth = host < 0 ? 2 : lit ? 2 : 1.5;
      c.stroke();
      if (lit || (!many && this.scale > 0.3)) {
        text(c, this.theme, this.track.cast.uavs[n].id, x + r + 7, y - 5, lit ? this.theme.ink : this.theme.faint, "left", 11, true);
      }
    }
  }

  /** Where the UAV truly is, beside where its users see it. */
  private drawGhost(frame: Frame, n: number, truth: Point, at: Point): void {
    const c = this.context;
    const [x, y, gx, gy] = [this.x(at.x), this.y(at.y), this.x(truth.x), this.y(truth.y)];
    c.setLineDash([3, 3]);
    c.strokeStyle = this.theme.ink;
    c.lineWidth = 1.2;
    c.beginPath();
    c.moveTo(x, y);
    c.lineTo(gx, gy);
    c.stroke();
    c.beginPath();
    c.arc(gx, gy, 8, 0, 7);
    c.stroke();
    c.setLineDash([]);
    const age = frame.a?.[n];
    const gap = Math.hypot(truth.x - at.x, truth.y - at.y);
    const told = age == null ? "nobody serves this twin" : `${gap.toFixed(1)} m behind, ${age} ms old`;
    text(c, this.theme, told, x + 14, y + 22, age == null ? this.theme.bad : this.theme.ink, "left", 12, true, 650);
  }

  private drawScale(): void {
    const c = this.context;
    const wanted = 90 / this.scale;
    const ten = 10 ** Math.floor(Math.log10(wanted));
    const metres = wanted / ten >= 5 ? 5 * ten : wanted / ten >= 2 ? 2 * ten : ten;
    const [x, y, w] = [16, this.size.h - 16, metres * this.scale];
    c.strokeStyle = this.theme.faint;
    c.lineWidth = 1.4;
    c.beginPath();
    c.moveTo(x, y - 4);
    c.lineTo(x, y);
    c.lineTo(x + w, y);
    c.lineTo(x + w, y - 4);
    c.stroke();
    text(c, this.theme, metres >= 1000 ? `${metres / 1000} km` : `${metres} m`, x + w / 2, y - 6, this.theme.faint, "center", 10, true);
  }

  private is(pick: Pick | null, kind: string, index: number): boolean {
    return pick !== null && pick.kind === kind && pick.index === index;
  }

}

function between(a: Num[], b: Num[], part: number): (Point | null)[] {
  const points: (Point | null)[] = [];
  for (let i = 0; i + 2 < a.length; i += 3) {
    const [x, y] = [a[i], a[i + 1]];
    const [u, v] = [b[i] ?? x, b[i + 1] ?? y];
    if (x == null || y == null || u == null || v == null) points.push(null);
    else points.push({ x: x + part * (u - x), y: y + part * (v - y) });
  }
  return points;
}

function heading(a: Num[], b: Num[], n: number): [number, number] {
  const dx = (b[3 * n] ?? 0) - (a[3 * n] ?? 0);
  const dy = (b[3 * n + 1] ?? 0) - (a[3 * n + 1] ?? 0);
  const length = Math.hypot(dx, dy);
  return length > 0.2 ? [dx / length, dy / length] : [0, 0];
}

