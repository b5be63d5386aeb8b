import { bestPrice, buyersOf, equilibrium, marketFile, marketOf, profit, respond, type Market } from "./game";
import { download } from "./save";
import type { Theme } from "./colour";
import type { CityMap } from "./map";
import type { Pick } from "./view";
import type { Track } from "./track";
import type { Num, Sample } from "./types";

const show = (value: Num | undefined, digits = 2, unit = ""): string =>
  value == null || !Number.isFinite(value) ? "–" : `${value.toFixed(digits)}${unit}`;

/** What is known of one RSU or UAV, and what would be if its market were another. */
export class Panel {
  onWhatIf: (prices: number[] | null) => void = () => {};
  onFollow: (uav: number | null) => void = () => {};
  pick: Pick | null = null;
  private change: { rho?: number; cost?: number; cap?: number } = {};
  private drawn = "";
  private values = new Map<string, HTMLElement>();
  private curve: HTMLCanvasElement | null = null;
  private verdict: HTMLElement | null = null;

  constructor(
    private place: HTMLElement,
    private track: Track,
    private map: CityMap,
    private theme: Theme,
    private help: (element: HTMLElement, key: string) => void,
  ) {}

  setTheme(theme: Theme): void {
    this.theme = theme;
    this.drawn = "";
  }

  open(pick: Pick | null): void {
    this.pick = pick;
    this.change = {};
    this.drawn = "";
    this.onWhatIf(null);
    this.place.hidden = pick === null;
  }

  update(t: number): void {
    const { pick } = this;
    const sample = this.track.sample(t);
    if (!pick || !sample) return;
    const key = `${pick.kind}${pick.index}`;
    if (this.drawn !== key) {
      this.drawn = key;
      this.build(pick);
    }
    if (pick.kind === "rsu") this.fillRsu(pick.index, sample);
    else this.fillUav(pick.index, sample, t);
  }

  // -- the panel's parts ----------------------------------------------------------------------------------------------

  private build(pick: Pick): void {
    this.place.replaceChildren();
    this.values.clear();
    const who = pick.kind === "rsu" ? this.track.cast.rsus[pick.index] : this.track.cast.uavs[pick.index];
    const head = this.place.appendChild(document.createElement("header"));
    const name = head.appendChild(document.createElement("h2"));
    name.textContent = who.id;
    if (pick.kind === "rsu") name.style.color = this.map.host(pick.index);
    const buttons = head.appendChild(document.createElement("div"));
    if (pick.kind === "uav") this.button(buttons, "Follow", "Follow this UAV as its users see it", () => this.onFollow(pick.index));
    this.button(buttons, "×", "Close", () => this.map.onPick(null));
    const list = this.place.appendChild(document.createElement("dl"));
    const rows: [string, string][] =
      pick.kind === "rsu"
        ? [["price", "Price"], ["equilibrium", "Equilibrium price"], ["cost", "Unit cost"], ["cap", "Price cap"], ["load", "Load"], ["profit", "Profit"], ["twins", "Twins"]]
        : [["twins", "Twin"], ["immersion", "Immersion"], ["rate", "Rate"], ["spending", "Spending"], ["utility", "Utility"], ["gap", "Gap"], ["age", "Age"]];
    for (const [key, title] of rows) {
      const label = list.appendChild(document.createElement("dt"));
      label.textContent = title;
      this.help(label, key);
      this.values.set(key, list.appendChild(document.createElement("dd")));
    }
    if (pick.kind === "rsu") this.buildMarket(pick.index);
    else this.values.set("links", this.place.appendChild(document.createElement("div")));
  }

  private buildMarket(rsu: number): void {
    this.curve = this.place.appendChild(document.createElement("canvas"));
    this.curve.className = "curve";
    this.curve.setAttribute("role", "img");
    this.curve.setAttribute("aria-label", "Profit of this RSU at any price, all other prices standing still");
    const { cast } = this.track;
    const { cost, cap } = cast.rsus[rsu];
    if (cost === null || cap === null || cast.rho === null) return;
    const title = this.place.appendChild(document.createElement("h3"));
    title.textContent = "What if …";
    this.slider("rho", "rho", "ρ of the market", 0.1, 0.9, 0.01, cast.rho);
    this.slider("cost", "cost", "unit cost, credit/MHz", 0.25 * cost, Math.min(4 * cost, cap), cost / 100, cost);
    this.slider("cap", "cap", "price cap, credit/MHz", cost * 1.05, 2 * cap, cap / 100, cap);
    this.verdict = this.place.appendChild(document.createElement("p"));
    this.verdict.className = "verdict";
    this.verdict.setAttribute("aria-live", "polite");
    const buttons = this.place.appendChild(document.createElement("div"));
    this.button(buttons, "Market as JSON", "Save the market of this instant, for uavtwin solve", () => this.saveMarket());
  }

  private slider(key: "rho" | "cost" | "cap", help: string, title: string, low: number, high: number, step: number, value: number): void {
    const label = this.place.appendChild(document.createElement("label"));
    const text = label.appendChild(document.createElement("span"));
    text.textContent = title;
    this.help(text, help);
    const input = label.appendChild(document.createElement("input"));
    Object.assign(input, { type: "range", min: String(low), max: String(high), step: String(step), value: String(value) });
    input.setAttribute("aria-label", `What if: ${title}`);
    input.dataset.key = key;
    const shown = label.appendChild(document.createElement("output"));
    shown.textContent = value.toFixed(2);
    input.oninput = () => {
      shown.textContent = Number(input.value).toFixed(2);
      this.change[key] = Number(input.value);
      this.solve();
    };
  }

  private button(place: HTMLElement, text: string, title: string, act: () => void): void {
    const button = place.appendChild(document.createElement("button"));
    button.textContent = text;
    button.title = title;
    button.setAttribute("aria-label", title);
    button.onclick = act;
  }

  // -- what is in them ------------------------------------------------------------------------------------------------

  private set(key: string, text: string): void {
    const place = this.values.get(key);
    if (place && place.textContent !== text) place.textContent = text;
  }

  private sample: Sample | null = null;

  private fillRsu(m: number, sample: Sample): void {
    const rsu = this.track.cast.rsus[m];
    this.set("price", show(sample.price[m], 3, " credit/MHz"));
    this.set("equilibrium", show(sample.eq[m], 3, " credit/MHz"));
    this.set("cost", show(rsu.cost, 2, " credit/MHz"));
    this.set("cap", show(rsu.cap, 2, " credit/MHz"));
    this.set("load", `${show(100 * (sample.load[m] ?? NaN), 0)} % of ${show(rsu.capacity, 1)} MHz`);
    this.set("profit", show(sample.profit[m], 2, " credit/round"));
    this.set("twins", `${sample.twins[m]}, ${sample.state[m]}`);
    if (this.sample === sample) return;
    this.sample = sample;
    const market = marketOf(this.track.cast, sample);
    if (this.curve) this.drawCurve(this.curve, market, m, sample);
    if (Object.keys(this.change).length) this.solve();
  }

  private drawCurve(canvas: HTMLCanvasElement, market: Market | null, m: number, sample: Sample): void {
    const dpr = window.devicePixelRatio || 1;
    const [w, h] = [canvas.clientWidth || 260, 110];
    [canvas.width, canvas.height] = [w * dpr, h * dpr];
    const c = canvas.getContext("2d") as CanvasRenderingContext2D;
    c.scale(dpr, dpr);
    c.font = "10px Inter, system-ui, sans-serif";
    c.fillStyle = this.theme.faint;
    const posted = sample.price[m];
    if (!market || posted === null) {
      c.fillText("no profit curve: private values are not known", 8, 60);
      return;
    }
    const price = sample.price.map((p, i) => p ?? market.cost[i]);
    const buyers = buyersOf(market, m);
    const [best, most] = bestPrice(market, m, price, buyers);
    const high = Math.min(market.cap[m], 3 * Math.max(best, posted));
    const [low, top] = [market.cost[m], Math.max(most * 1.15, 1e-9)];
    const x = (p: number): number => 8 + ((p - low) / (high - low || 1)) * (w - 16);
    const y = (v: number): number => h - 18 - (Math.max(v, 0) / top) * (h - 34);
    c.strokeStyle = this.map.host(m);
    c.lineWidth = 2;
    c.beginPath();
    for (let i = 0; i <= 80; i++) {
      const p = low + ((high - low) * i) / 80;
      c.lineTo(x(p), y(profit(market, m, p, price, buyers)));
    }
    c.stroke();
    const mark = (p: number, text: string, fill: boolean): void => {
      const value = profit(market, m, p, price, buyers);
      c.beginPath();
      c.arc(x(p), y(value), 4.5, 0, 7);
      c.fillStyle = fill ? this.map.host(m) : this.theme.ground;
      c.fill();
      c.stroke();
      c.fillStyle = this.theme.ink;
      c.textAlign = x(p) > w - 70 ? "right" : "left";
      c.fillText(text, x(p) + (x(p) > w - 70 ? -8 : 8), y(value) + (fill ? 14 : -7));
    };
    mark(best, `best ${best.toFixed(2)}`, false);
    mark(posted, `posted ${posted.toFixed(2)}`, true);
    c.fillStyle = this.theme.faint;
    c.textAlign = "left";
    c.fillText(`profit by price, credit/round`, 8, 10);
    c.fillText(low.toFixed(2), 8, h - 4);
    c.textAlign = "right";
    c.fillText(`${high.toFixed(1)} credit/MHz`, w - 8, h - 4);
  }

  private fillUav(n: number, sample: Sample, t: number): void {
    const { cast } = this.track;
    const found = this.track.at(t);
    if (!found) return;
    const [frame] = found;
    const host = cast.rsus[frame.h[n]];
    const wanted = frame.w && frame.w[n] >= 0 && frame.w[n] !== frame.h[n] ? `, on its way to ${cast.rsus[frame.w[n]].id}` : "";
    this.set("twins", host ? `at ${host.id}${wanted}` : "served by nobody");
    const [g, rate, need, spend] = [sample.g[n], sample.rate[n], sample.need[n], sample.spend[n]];
    const alpha = cast.uavs[n].alpha;
    this.set("immersion", alpha === null ? show(g, 2) : `${show(g, 1)} = ${show(alpha, 1)} · ln(1 + ${show(rate, 1)}/${show(need, 2)})`);
    this.set("rate", `${show(rate, 2)} Mbit/s; needed ${show(need, 2)}`);
    this.set("spending", show(spend, 2, " credit/round"));
    this.set("utility", g == null || spend == null ? "–" : show(g - spend, 2, " credit"));
    const p = [0, 1, 2].map((i) => [frame.p[3 * n + i], frame.e?.[3 * n + i]]);
    const gap = p.every(([a, b]) => a != null && b != null) ? Math.hypot(...p.map(([a, b]) => (a as number) - (b as number))) : null;
    this.set("gap", show(gap, 1, " m"));
    this.set("age", show(frame.a?.[n], 0, " ms"));
    this.fillLinks(n, sample);
  }

  private fillLinks(n: number, sample: Sample): void {
    const place = this.values.get("links");
    if (!place || this.sample === sample) return;
    this.sample = sample;
    const market = marketOf(this.track.cast, sample);
    const wanted = market ? respond(market, n, sample.price.map((p, m) => p ?? market.cost[m])).bandwidth : [];
    const table = document.createElement("table");
    const head = table.createTHead().insertRow();
    for (const text of ["link to", "bit/s/Hz", "price", "has MHz", "best MHz"]) head.insertCell().textContent = text;
    const body = table.createTBody();
    sample.links
      .filter((link) => link[0] === n)
      .forEach(([, m, efficiency], i) => {
        const row = body.insertRow();
        const has = sample.grants.find((grant) => grant[0] === n && grant[1] === m)?.[2] ?? 0;
        const name = row.insertCell();
        name.textContent = this.track.cast.rsus[m].id;
        name.style.color = this.map.host(m);
        for (const text of [show(efficiency), show(sample.price[m]), show(has, 3), show(wanted[i], 3)]) row.insertCell().textContent = text;
      });
    place.replaceChildren(table);
  }

  // -- what if --------------------------------------------------------------------------------------------------------

  private solve(): void {
    const m = this.pick?.index;
    const market = this.sample && marketOf(this.track.cast, this.sample);
    if (!market || m === undefined || !this.verdict || !this.sample) return;
    if (this.change.rho !== undefined) market.rho = this.change.rho;
    if (this.change.cost !== undefined) market.cost[m] = this.change.cost;
    if (this.change.cap !== undefined) market.cap = market.cap.map((cap, i) => (i === m ? Math.max(this.change.cap as number, market.cost[m]) : cap));
    const start = this.sample.price.map((p, i) => p ?? market.cost[i]);
    const found = equilibrium(market, start);
    this.onWhatIf(found);
    const before = this.sample.eq[m];
    this.verdict.textContent = found
      ? `The equilibrium would have this RSU at ${found[m].toFixed(3)} credit/MHz${before == null ? "" : `, now ${before.toFixed(3)}`}.`
      : "Best replies do not settle: no pure equilibrium is claimed there.";
  }

  private saveMarket(): void {
    const market = this.sample && marketOf(this.track.cast, this.sample);
    if (!market || !this.sample) return;
    const price = this.sample.price.map((p, m) => p ?? market.cost[m]);
    download("market.json", JSON.stringify(marketFile(market, price), null, 1), "application/json");
  }
}
