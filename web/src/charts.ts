import uPlot from "uplot";
import type { Theme } from "./colour";
import type { CityMap } from "./map";
import { csv, download, svg } from "./save";
import { mean, type Series, type Track } from "./track";
import type { Num } from "./types";

export interface Shown {
  track: Track;
  map: CityMap;
}

interface Spec {
  key: string; // of HELP
  title: string;
  unit: string;
  log?: boolean;
  build(shown: Shown[], series: Series[], dark: Theme): { columns: Num[][]; lines: uPlot.Series[]; bands?: uPlot.Band[] };
  one(series: Series, at: number): Num; // the one number of an instant, in which two runs are compared
  show(value: Num): string;
}

const percent = (x: Num): string => (x === null || x === undefined ? "–" : `${(100 * x).toPrecision(2)} %`);
const fixed = (x: Num, digits: number): string => (x === null || x === undefined ? "–" : x.toFixed(digits));
const milliseconds = (x: Num): string => (x == null ? "–" : `${x.toFixed(0)} ms`);
const DASH = [4, 4];
const MOST_LINES = 20;
// a cursor that the page's clock moves, and no mouse
const STILL: uPlot.Cursor = { y: false, drag: { x: false, y: false }, points: { show: false }, bind: { mousemove: () => null, mouseleave: () => null } };

const SPECS: Spec[] = [
  {
    key: "price",
    title: "Price",
    unit: "credit/MHz",
    build(shown, series) {
      const columns: Num[][] = [];
      const lines: uPlot.Series[] = [];
      series.forEach((one, run) =>
        one.price.slice(0, MOST_LINES).forEach((column, m) => {
          const stroke = shown[run].map.host(m);
          columns.push(column, one.eq[m]);
          const { id } = shown[run].track.cast.rsus[m];
          lines.push({ label: named(shown, run, `${id} posted`), stroke, width: run ? 1 : 1.8, points: { show: false } });
          lines.push({ label: named(shown, run, `${id} equilibrium`), stroke: stroke + "a0", width: 1.1, dash: run ? [1, 4] : DASH, points: { show: false } });
        }),
      );
      return { columns, lines };
    },
    one: (s, i) => mean(s.price.map((column) => column[i])),
    show: (value) => `mean ${fixed(value, 2)}`,
  },
  {
    key: "exploitability",
    title: "Exploitability",
    unit: "of best profit",
    log: true,
    build: (shown, series, theme) => ({
      columns: series.map((one) => one.x),
      lines: series.map((_, run) => plain(shown, run, "exploitability", theme)),
    }),
    one: (s, i) => s.x[i],
    show: percent,
  },
  {
    key: "immersion",
    title: "Immersion",
    unit: "credit, mean and 10–90 %",
    build(shown, series, theme) {
      const columns: Num[][] = [];
      const lines: uPlot.Series[] = [];
      const bands: uPlot.Band[] = [];
      series.forEach((one, run) => {
        const first = columns.length + 1;
        columns.push(one.high, one.low, one.mean);
        const edge = (name: string) => ({ ...plain(shown, run, name, theme), stroke: "transparent", width: 0 });
        lines.push(edge("immersion, 90 %"), edge("immersion, 10 %"), plain(shown, run, "immersion, mean", theme, 2));
        bands.push({ series: [first, first + 1], fill: theme.hosts[run ? 1 : 2] + "28" });
      });
      return { columns, lines, bands };
    },
    one: (s, i) => s.mean[i],
    show: (value) => fixed(value, 1),
  },
  {
    key: "moved",
    title: "Migrations",
    unit: "twins moved",
    build: (shown, series, theme) => ({
      columns: series.map((one) => one.moved),
      lines: series.map((_, run) => ({ ...plain(shown, run, "twins moved", theme, 4), paths: uPlot.paths.stepped?.({ align: 1 }) })),
    }),
    one: (s, i) => s.moved[i],
    show: (value) => fixed(value, 0),
  },
  {
    key: "downtime",
    title: "Downtime",
    unit: "ms, last migration",
    build: (shown, series, theme) => ({
      columns: series.map((one) => one.down),
      lines: series.map((_, run) => ({ ...plain(shown, run, "downtime, ms", theme, 5), paths: uPlot.paths.stepped?.({ align: 1 }) })),
    }),
    one: (s, i) => s.down[i],
    show: milliseconds,
  },
  {
    key: "age",
    title: "Age of information",
    unit: "ms, mean",
    build: (shown, series, theme) => ({
      columns: series.map((one) => one.age),
      lines: series.map((_, run) => plain(shown, run, "age of information, ms", theme, 6)),
    }),
    one: (s, i) => s.age[i],
    show: milliseconds,
  },
];

/** What a line is called where it is written: by its run, where there are two. */
function named(shown: Shown[], run: number, name: string): string {
  return shown.length > 1 ? `${name}, ${shown[run].track.label}` : name;
}

/** A line of one run: the first's solid and in a colour, the second's dashed. */
function plain(shown: Shown[], run: number, name: string, theme: Theme, colour = 0): uPlot.Series {
  const stroke = run ? theme.ink : theme.hosts[colour];
  const dash = run ? [5, 3] : undefined;
  return { label: named(shown, run, name), stroke, width: run ? 1.3 : 1.8, dash, points: { show: false }, spanGaps: true };
}

/** Charts that share one cursor, which is the time of the map. */
export class Charts {
  onSeek: (t: number) => void = () => {};
  whatIf: { prices: number[] } | null = null; // equilibrium of a market that might have been
  private plots: { plot: uPlot; strip: uPlot | null; spec: Spec; value: HTMLElement }[] = [];
  private versions = "";
  private series: Series[] = [];

  constructor(
    private place: HTMLElement,
    private shown: Shown[],
    private theme: Theme,
    private help: (element: HTMLElement, key: string) => void,
  ) {}

  setTheme(theme: Theme): void {
    this.theme = theme;
    this.versions = "";
  }

  /** Draw what is new, and the cursor. */
  update(t: number): void {
    const versions = this.shown.map((one) => `${one.track.version}/${one.track.cast.rsus.length}`).join();
    if (versions !== this.versions) {
      this.versions = versions;
      this.series = this.shown.map((one) => one.track.series());
      this.build();
    }
    const first = this.series[0];
    if (!first?.t.length) return;
    for (const { plot, strip, spec, value } of this.plots) {
      const text = this.series.map((one) => spec.show(spec.one(one, nearest(one.t, t)))).join("  |  ");
      if (value.textContent !== text) value.textContent = text;
      const left = plot.valToPos(t, "x");
      if (Math.abs((plot.cursor.left ?? -10) - left) <= 0.3) continue;
      for (const drawn of [plot, strip]) drawn?.setCursor({ left, top: -10 }, false);
    }
  }

  private build(): void {
    const [times, aligned] = align(this.series);
    if (times.length < 2) return;
    SPECS.forEach((spec, i) => {
      const { columns, lines, bands } = spec.build(this.shown, aligned, this.theme);
      const known = this.plots[i];
      const apart = difference(spec, times, aligned);
      if (known && known.plot.series.length === lines.length + 1 && known.plot.root.dataset.theme === String(this.theme.dark)) {
        known.plot.setData([times, ...columns] as uPlot.AlignedData);
        if (apart) known.strip?.setData(apart);
        return;
      }
      known?.plot.root.parentElement?.remove();
      this.plots[i] = this.make(spec, [times, ...columns] as uPlot.AlignedData, lines, bands, i);
      if (apart) this.plots[i].strip = this.makeStrip(this.plots[i].plot, spec, apart);
    });
  }

  private make(spec: Spec, data: uPlot.AlignedData, lines: uPlot.Series[], bands: uPlot.Band[] | undefined, at: number) {
    const box = document.createElement("section");
    box.className = "chart";
    const head = box.appendChild(document.createElement("h3"));
    const title = head.appendChild(document.createElement("span"));
    title.textContent = spec.title;
    this.help(title, spec.key);
    const unit = head.appendChild(document.createElement("small"));
    unit.textContent = spec.unit;
    const value = head.appendChild(document.createElement("output"));
    for (const [name, act] of [["svg", () => this.save(spec, "svg")], ["csv", () => this.save(spec, "csv")]] as const) {
      const button = head.appendChild(document.createElement("button"));
      button.textContent = name.toUpperCase();
      button.setAttribute("aria-label", `Save ${spec.title} as ${name.toUpperCase()}`);
      button.className = "save";
      button.onclick = act;
    }
    this.place.insertBefore(box, this.place.children[at] ?? null);
    const axis = this.axis();
    const plot = new uPlot(
      {
        width: room(box),
        height: spec.key === "price" ? 128 : 72,
        padding: [6, 6, 0, 0],
        legend: { show: false },
        cursor: STILL,
        scales: { x: { time: false }, y: spec.log ? { distr: 3 } : { range: (_, low, high) => padded(low, high) } },
        axes: [
          { ...axis, size: 18, gap: 2, values: (_, ticks) => ticks.map((tick) => (tick > 1e8 ? new Date(1000 * tick).toLocaleTimeString() : `${tick} s`)) },
          { ...axis, size: 40, gap: 4, space: 18, filter: spec.log ? (_, ticks) => ticks.map((tick) => (isPower(tick) ? tick : null)) : undefined, values: (_, ticks) => ticks.map((tick) => label(tick, spec)) },
        ],
        series: [{}, ...lines],
        bands,
        hooks: { draw: [(u) => spec.key === "price" && this.drawWhatIf(u)] },
      },
      data,
      box,
    );
    plot.root.dataset.theme = String(this.theme.dark);
    plot.over.addEventListener("click", (event) => this.onSeek(plot.posToVal(event.offsetX, "x")));
    new ResizeObserver(() => plot.setSize({ width: room(box), height: plot.height })).observe(box);
    return { plot, strip: null, spec, value };
  }

  /** Below a chart of two runs: by how much the second is above the first. */
  private makeStrip(above: uPlot, spec: Spec, data: uPlot.AlignedData): uPlot {
    const box = above.root.parentElement as HTMLElement;
    const note = box.appendChild(document.createElement("small"));
    note.className = "strip";
    note.textContent = `${this.shown[1].track.label} − ${this.shown[0].track.label}`;
    const stroke = this.theme.hosts[6];
    const strip = new uPlot(
      {
        width: above.width,
        height: 40,
        padding: [3, 6, 3, 0],
        legend: { show: false },
        cursor: STILL,
        scales: { x: { time: false }, y: { range: (_, low, high) => padded(Math.min(low ?? 0, 0), Math.max(high ?? 0, 0)) } },
        axes: [{ show: false }, { ...this.axis(), size: 40, gap: 4, space: 14, values: (_, ticks) => ticks.map((tick) => label(tick, spec)) }],
        series: [{}, { label: note.textContent, stroke, fill: `${stroke}30`, fillTo: 0, width: 1.2, points: { show: false } }],
      },
      data,
      box,
    );
    strip.root.dataset.strip = spec.key;
    new ResizeObserver(() => strip.setSize({ width: room(box), height: strip.height })).observe(box);
    return strip;
  }

  private axis(): uPlot.Axis {
    return {
      stroke: this.theme.faint,
      font: "10px Inter, system-ui, sans-serif",
      grid: { stroke: this.theme.line, width: 1 },
      ticks: { show: false },
    };
  }

  redraw(): void {
    this.plots[0]?.plot.redraw(false);
  }

  private drawWhatIf(u: uPlot): void {
    if (!this.whatIf) return;
    const c = u.ctx;
    c.save();
    c.setLineDash([10, 6]);
    c.lineWidth = 2.5;
    this.whatIf.prices.slice(0, MOST_LINES).forEach((price, m) => {
      const y = u.valToPos(price, "y", true);
      if (y < u.bbox.top || y > u.bbox.top + u.bbox.height) return;
      c.strokeStyle = this.shown[0].map.host(m);
      c.beginPath();
      c.moveTo(u.bbox.left, y);
      c.lineTo(u.bbox.left + u.bbox.width, y);
      c.stroke();
    });
    c.restore();
  }

  private save(spec: Spec, kind: "svg" | "csv"): void {
    const found = this.plots.find((one) => one.spec === spec);
    if (!found) return;
    const { plot } = found;
    const text = kind === "csv" ? csv(plot) : svg(plot, `${spec.title}, ${spec.unit}`);
    download(`${spec.title.toLowerCase().replace(/ /g, "_")}.${kind}`, text, kind === "csv" ? "text/csv" : "image/svg+xml");
  }
}

/** What a chart may be wide, px: its box without the padding. */
function room(box: HTMLElement): number {
  const style = getComputedStyle(box);
  return Math.max(box.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight), 160);
}

function isPower(tick: number): boolean {
  const log = Math.log10(tick);
  return Math.abs(log - Math.round(log)) < 1e-6;
}

function padded(low: number, high: number): [number, number] {
  if (low == null || high == null || !Number.isFinite(low)) return [0, 1];
  const room = (high - low || Math.abs(high) || 1) * 0.08;
  return [low >= 0 ? Math.max(low - room, 0) : low - room, high + room];
}

function label(tick: number, spec: Spec): string {
  if (tick == null) return "";
  if (spec.log) return `${+(100 * tick).toPrecision(1)} %`;
  return Math.abs(tick) >= 1000 ? `${+(tick / 1000).toFixed(1)}k` : String(+tick.toPrecision(4));
}

function nearest(times: number[], t: number): number {
  let low = 0;
  let high = times.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (times[middle] <= t + 1e-9) low = middle;
    else high = middle - 1;
  }
  return low;
}

/** Runs on one axis of time: the first run's; the others where they are nearest. */
function align(series: Series[]): [number[], Series[]] {
  const longest = series.reduce((a, b) => (b.t.length > a.t.length ? b : a), series[0]);
  const times = longest?.t ?? [];
  const onto = (one: Series): Series => {
    if (one.t === times || !one.t.length) return one;
    const index = times.map((t) => (t > one.t[one.t.length - 1] + 1 ? -1 : nearest(one.t, t)));
    const take = (column: Num[]): Num[] => index.map((i) => (i < 0 ? null : column[i]));
    return {
      t: times,
      price: one.price.map(take),
      eq: one.eq.map(take),
      x: take(one.x),
      low: take(one.low),
      mean: take(one.mean),
      high: take(one.high),
      moved: take(one.moved),
      down: take(one.down),
      age: take(one.age),
    };
  };
  return [times, series.map(onto)];
}

/** How far the second run is from the first in a chart's one number; null where there are not two. */
function difference(spec: Spec, times: number[], series: Series[]): uPlot.AlignedData | null {
  if (series.length !== 2) return null;
  const apart = times.map((_, i): Num => {
    const [a, b] = series.map((one) => spec.one(one, i));
    return a == null || b == null ? null : b - a;
  });
  return [times, apart];
}
