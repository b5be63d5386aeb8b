import { Charts, type Shown } from "./charts";
import { theme as makeTheme } from "./colour";
import * as game from "./game";
import { help } from "./help";
import { load, loadSpace } from "./load";
import { CityMap } from "./map";
import { Panel } from "./panel";
import type { Space } from "./space";
import { Track } from "./track";
import type { Cast, Frame, Num, Page } from "./types";
import { clock, text } from "./words";

const SPEEDS = [0.25, 0.5, 1, 2, 4, 8, 16];
const BEHIND = 0.5; // s by which a live map stays behind, to draw between two frames
const MOST_SENTENCES = 80;
const RECONNECT = 1500; // ms

const byId = <T extends HTMLElement>(id: string): T => document.getElementById(id) as T;

/** The page: one clock, a map for each run, charts, events and the panel. */
class App {
  private dark: boolean;
  private shown: Shown[] = [];
  private charts!: Charts;
  private panels: Panel[] = [];
  private t = 0;
  private playing = true;
  private speed = 1;
  private looping = false;
  private atEdge: boolean; // of a live city
  private drawnAt = 0;
  private told = "";
  private tickedFor = "";
  private spaces: Space[] = []; // three-dimensional views, while they are wanted

  constructor(private page: Page) {
    this.dark = document.documentElement.dataset.theme
      ? document.documentElement.dataset.theme === "dark"
      : matchMedia("(prefers-color-scheme: dark)").matches;
    this.atEdge = page.live;
    this.build();
    this.t = Math.min(...this.shown.map((one) => one.track.start));
    requestAnimationFrame((now) => this.tick(now));
  }

  private build(): void {
    document.documentElement.dataset.theme = this.dark ? "dark" : "light";
    const theme = makeTheme(this.dark);
    const maps = byId("maps");
    maps.dataset.count = String(this.page.runs.length);
    for (const run of this.page.runs) {
      const track = new Track(run);
      const box = maps.appendChild(document.createElement("figure"));
      const canvas = box.appendChild(document.createElement("canvas"));
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", `Map of the city: ${track.cast.name || "live"} ${run.label}`);
      if (this.page.runs.length > 1) box.appendChild(document.createElement("figcaption")).textContent = run.label;
      const map = new CityMap(canvas, track, theme);
      const panel = new Panel(box.appendChild(document.createElement("aside")), track, map, theme, help);
      panel.open(null);
      map.onPick = (pick) => {
        map.picked = pick;
        panel.open(pick);
        if (pick?.kind !== "uav") this.follow(null);
      };
      panel.onWhatIf = (prices) => {
        this.charts.whatIf = prices ? { prices } : null;
        this.charts.redraw();
      };
      panel.onFollow = (uav) => this.follow(uav);
      this.shown.push({ track, map });
      this.panels.push(panel);
    }
    this.charts = new Charts(byId("charts"), this.shown, theme, help);
    this.charts.onSeek = (t) => this.seek(t);
    this.title();
    this.controls();
    this.difference();
    for (const [id, key] of [["n-x", "exploitability"], ["n-g", "immersion"], ["n-m", "moved"], ["n-d", "downtime"], ["n-a", "age"], ["health", "health"]])
      help(byId(id), key);
  }

  private title(): void {
    const { cast } = this.shown[0].track;
    const about = Object.entries(cast.about).map(([key, value]) => `${key} ${value}`);
    byId("name").textContent = cast.name || "A city, as heard";
    byId("about").textContent = [`${cast.rsus.length} RSUs`, `${cast.uavs.length} UAVs`, ...about].join(" · ");
    document.title = `${cast.name || "city"} · uav_twin_migration`;
  }

  private difference(): void {
    const place = byId("difference");
    const { table } = this.page;
    if (!table) return;
    place.hidden = false;
    const body = byId<HTMLTableElement>("difference-rows");
    for (const cells of table) {
      const row = body.insertRow();
      for (const text of cells) row.insertCell().textContent = text;
    }
    byId("difference-a").textContent = this.page.runs[0].label;
    byId("difference-b").textContent = this.page.runs[1]?.label ?? "B";
  }

  // -- controls -------------------------------------------------------------------------------------------------------

  private controls(): void {
    const slider = byId<HTMLInputElement>("time");
    slider.oninput = () => this.seek(Number(slider.value));
    byId("play").onclick = () => this.play(!this.playing);
    byId("theme").onclick = () => this.setDark(!this.dark);
    byId("loop").onclick = () => this.loop(!this.looping);
    byId("space").hidden = !location.protocol.startsWith("http"); // a file cannot load what is beside it
    byId("space").onclick = () => void this.toggleSpace();
    byId("fit").onclick = () => this.fit();
    byId("live").onclick = () => this.edge();
    byId("live").hidden = !this.page.live;
    byId("help").onclick = () => byId<HTMLDialogElement>("keys").showModal();
    const speed = byId<HTMLSelectElement>("speed");
    for (const value of SPEEDS) speed.add(new Option(`× ${value}`, String(value), value === 1, value === 1));
    speed.onchange = () => (this.speed = Number(speed.value));
    document.addEventListener("keydown", (event) => this.key(event));
  }

  private key(event: KeyboardEvent): void {
    const typing = event.target instanceof HTMLInputElement || event.target instanceof HTMLSelectElement;
    if (event.ctrlKey || event.metaKey || event.altKey || (typing && event.key !== "Escape")) return;
    const map = this.shown[0].map;
    const step = event.shiftKey ? 10 : 1;
    const keys: Record<string, () => void> = {
      " ": () => this.play(!this.playing),
      ArrowLeft: () => this.seek(this.t - step),
      ArrowRight: () => this.seek(this.t + step),
      Home: () => this.seek(-Infinity),
      End: () => (this.page.live ? this.edge() : this.seek(Infinity)),
      "+": () => this.shown.forEach((one) => one.map.zoom(1.3)),
      "=": () => this.shown.forEach((one) => one.map.zoom(1.3)),
      "-": () => this.shown.forEach((one) => one.map.zoom(1 / 1.3)),
      "0": () => this.fit(),
      f: () => this.follow(map.followed === null ? 0 : (map.followed + 1) % Math.max(map.track.cast.uavs.length, 1)),
      l: () => this.loop(!this.looping),
      t: () => this.setDark(!this.dark),
      "?": () => byId<HTMLDialogElement>("keys").showModal(),
      Escape: () => this.shown.forEach((one) => one.map.onPick(null)),
    };
    const act = keys[event.key];
    if (!act || (event.target instanceof HTMLButtonElement && event.key === " ")) return;
    event.preventDefault();
    act();
  }

  private fit(): void {
    this.follow(null);
    for (const { map } of this.shown) map.fit();
  }

  /** Stay with a UAV, as its users do; null for nobody. */
  follow(uav: number | null): void {
    this.shown.forEach(({ map, track }, i) => {
      if (uav !== null && !track.cast.uavs[uav]) return;
      const before = map.followed;
      map.followed = uav;
      if (uav === null) return;
      map.picked = { kind: "uav", index: uav };
      if (before === null) map.zoom(2.2);
      this.panels[i].open(map.picked);
    });
  }

  private setDark(dark: boolean): void {
    this.dark = dark;
    document.documentElement.dataset.theme = dark ? "dark" : "light";
    const theme = makeTheme(dark);
    this.shown.forEach(({ map }) => map.setTheme(theme));
    this.panels.forEach((panel) => panel.setTheme(theme));
    this.charts.setTheme(theme);
    this.tickedFor = "";
  }

  /** From above, or in three dimensions. */
  private async toggleSpace(): Promise<void> {
    const wanted = this.spaces.length === 0;
    for (const space of this.spaces) space.close();
    this.spaces = [];
    document.querySelectorAll("canvas.space").forEach((canvas) => canvas.remove());
    byId("space").setAttribute("aria-pressed", String(wanted));
    if (!wanted) return;
    try {
      const Made = await loadSpace();
      this.spaces = this.shown.map(({ map, track }) => {
        const canvas = document.createElement("canvas");
        canvas.className = "space";
        canvas.setAttribute("role", "img");
        canvas.setAttribute("aria-label", `The city ${track.cast.name} in three dimensions`);
        map.canvas.after(canvas);
        return new Made(canvas, track, map, this.dark);
      });
    } catch (error) {
      document.querySelectorAll("canvas.space").forEach((canvas) => canvas.remove());
      byId("space").setAttribute("aria-pressed", "false");
      byId("about").textContent = `No view in three dimensions here: ${String(error)}`;
    }
  }

  private loop(on: boolean): void {
    this.looping = on;
    byId("loop").setAttribute("aria-pressed", String(on));
  }

  play(on: boolean): void {
    this.playing = on;
    if (on && !this.page.live && this.t >= this.end - 0.05) this.t = this.start;
    byId("play").textContent = on ? "❚❚" : "▶";
    byId("play").setAttribute("aria-label", on ? "Pause" : "Play");
  }

  seek(t: number): void {
    this.t = Math.min(Math.max(t, this.start), this.end);
    this.atEdge = false;
    byId("live").setAttribute("aria-pressed", "false");
  }

  private edge(): void {
    this.atEdge = true;
    this.playing = true;
    byId("live").setAttribute("aria-pressed", "true");
  }

  private get start(): number {
    return Math.min(...this.shown.map((one) => one.track.start));
  }

  private get end(): number {
    return Math.max(...this.shown.map((one) => one.track.end));
  }

  // -- time -----------------------------------------------------------------------------------------------------------

  /** A frame of a live city. */
  add(frame: Frame): void {
    const { track } = this.shown[0];
    const rebuild = frame.t < track.end;
    track.add(frame);
    if (rebuild) this.edge();
  }

  cast(cast: Cast): void {
    const { track, map } = this.shown[0];
    const first = track.cast.rsus.length === 0;
    track.cast = cast;
    this.title();
    if (first) map.fit();
  }

  private tick(now: number): void {
    const past = Math.min((now - this.drawnAt) / 1000, 0.25);
    this.drawnAt = now;
    if (this.page.live && this.atEdge) {
      const goal = Math.max(this.end - BEHIND, this.start);
      this.t = Math.abs(goal - this.t) > 5 ? goal : this.t + Math.max(Math.min(past + (goal - this.t) * past, goal - this.t + past), 0);
      this.t = Math.min(this.t, this.end);
    } else if (this.playing) {
      this.t += past * this.speed;
      if (this.t > this.end) {
        if (this.looping) this.t = this.start;
        else [this.t] = [this.end, !this.page.live && this.play(false)];
      }
    }
    for (const { map } of this.spaces.length ? [] : this.shown) map.draw(this.t);
    for (const space of this.spaces) space.draw(this.t);
    for (const panel of this.panels) panel.update(this.t);
    this.charts.update(this.t);
    this.head();
    this.sentences();
    requestAnimationFrame((next) => this.tick(next));
  }

  private head(): void {
    const { track } = this.shown[0];
    const found = track.at(this.t);
    const sample = track.sample(this.t);
    const slider = byId<HTMLInputElement>("time");
    slider.min = String(this.start);
    slider.max = String(this.end);
    slider.value = String(this.t);
    slider.setAttribute("aria-valuetext", `${this.t.toFixed(1)} seconds`);
    text("clock", `${clock(this.t)} / ${clock(this.end)}`);
    if (!found || !sample) return;
    const [frame] = found;
    const mean = (values: Num[]): Num => {
      const known = values.filter((v): v is number => v !== null);
      return known.length ? known.reduce((a, b) => a + b, 0) / known.length : null;
    };
    text("n-x", sample.x === null ? "–" : `${(100 * sample.x).toFixed(2)} %`);
    const immersion = mean(sample.g);
    text("n-g", immersion === null ? "–" : immersion.toFixed(1));
    text("n-m", `${sample.mig[0]}${sample.mig[1] ? ` + ${sample.mig[1]} failed` : ""}`);
    text("n-d", sample.down === null ? "–" : `${sample.down.toFixed(0)} ms`);
    const age = mean(frame.a ?? []);
    text("n-a", age === null ? "–" : `${age.toFixed(0)} ms`);
    this.health();
    const ticks = `${Math.round(this.start)} ${Math.round(this.end)} ${track.events.length}`;
    if (ticks !== this.tickedFor && (!this.page.live || performance.now() % 1000 < 40)) {
      this.tickedFor = ticks;
      this.drawTicks();
    }
  }

  /** Events on the slider. */
  private drawTicks(): void {
    const canvas = byId<HTMLCanvasElement>("ticks");
    const dpr = window.devicePixelRatio || 1;
    const [w, h] = [canvas.clientWidth, canvas.clientHeight];
    [canvas.width, canvas.height] = [w * dpr, h * dpr];
    const c = canvas.getContext("2d") as CanvasRenderingContext2D;
    c.scale(dpr, dpr);
    const span = this.end - this.start || 1;
    const colours: Record<string, string> = { move: "#21a97f", fail: "#e69f00", lost: "#ff5a4e", health: "#ff5a4e" };
    for (const [t, kind] of this.shown.flatMap((one) => one.track.events)) {
      if (!colours[kind]) continue;
      c.fillStyle = colours[kind];
      c.fillRect(8 + ((t - this.start) / span) * (w - 16), kind === "move" ? 4 : 1, 1.5, kind === "move" ? 6 : 10);
    }
  }

  private health(): void {
    const place = byId("health");
    const { track } = this.shown[0];
    const recent = track.samples.filter((one) => one.t <= this.t && one.t > this.t - 10).map((one) => one.s);
    const latest = recent[recent.length - 1];
    const missed = recent.reduce((sum, one) => sum + one.health.missed, 0);
    const due = 10 * track.cast.uavs.length;
    const silent = track.cast.rsus.filter((_, m) => latest?.state[m] === "silent").map((rsu) => rsu.id);
    let state = "ok";
    let told = "healthy";
    if (latest?.health.slow || missed > 0.05 * due) {
      state = "bad";
      told = latest?.health.slow ?? `too slow: ${missed} answers came too late in 10 s. Choose a lower --real-time-factor, --compose fleet, or fewer UAVs.`;
    } else if (silent.length) {
      state = "bad";
      told = `silent: ${silent.slice(0, 4).join(", ")}${silent.length > 4 ? ` and ${silent.length - 4} more` : ""}. See whether they run: uavtwin doctor.`;
    } else if (latest?.health.alarms.length) {
      state = "warn";
      const { alarms } = latest.health;
      told = `${alarms[0]}${alarms.length > 1 ? ` and ${alarms.length - 1} more` : ""}`;
    }
    place.dataset.state = state;
    if (place.textContent !== told) place.textContent = told;
  }

  private sentences(): void {
    const place = byId("events");
    const upTo = this.shown.flatMap(({ track }, run) => track.events.filter((one) => one[0] <= this.t).map((one) => [...one, run] as const));
    const recent = upTo.sort((a, b) => a[0] - b[0]).slice(-MOST_SENTENCES).reverse();
    const key = `${upTo.length} ${recent[0]?.[0]}`;
    if (key === this.told) return;
    this.told = key;
    place.replaceChildren(
      ...recent.map(([t, kind, sentence, run]) => {
        const item = document.createElement("li");
        item.dataset.kind = kind;
        const time = item.appendChild(document.createElement("button"));
        time.textContent = clock(t);
        time.setAttribute("aria-label", `Go to ${t.toFixed(1)} seconds`);
        time.onclick = () => this.seek(t);
        item.append(this.shown.length > 1 ? `${this.shown[run].track.label}: ${sentence}` : sentence);
        return item;
      }),
    );
  }
}

/** Frames of a live city, for as long as there is one. */
function listen(app: App): void {
  const where = new URL("frames" + location.search, location.href);
  where.protocol = where.protocol.replace("http", "ws");
  const socket = new WebSocket(where);
  socket.onopen = () => (document.documentElement.dataset.link = "up");
  socket.onmessage = (event) => {
    const said = JSON.parse(event.data as string) as { cast?: Cast; frames?: Frame[] };
    if (said.cast) app.cast(said.cast);
    for (const frame of said.frames ?? []) app.add(frame);
  };
  socket.onclose = () => {
    document.documentElement.dataset.link = "down";
    setTimeout(() => listen(app), RECONNECT);
  };
}

load()
  .then((page) => {
    const app = new App(page);
    if (page.live) listen(app);
    Object.assign(window, { uavtwin: app, game }); // for a browser's console, and tests
  })
  .catch((error: unknown) => {
    byId("about").textContent = `This page cannot be shown: ${String(error)}`;
  });
