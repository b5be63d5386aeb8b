import type uPlot from "uplot";
import type { Num } from "./types";

/** The values of a chart, a column a line. */
export function csv(plot: uPlot): string {
  const columns = plot.data as ArrayLike<Num>[];
  const quoted = (text: string): string => (/[",\n]/.test(text) ? `"${text.replace(/"/g, '""')}"` : text);
  const head = ["time_s", ...plot.series.slice(1).map((one) => quoted(String(one.label)))].join();
  const rows = Array.from(columns[0], (_, row) => columns.map((column) => column[row] ?? "").join());
  return [head, ...rows].join("\n") + "\n";
}

/** The lines of a chart as vector graphics. */
export function svg(plot: uPlot, title: string): string {
  const [w, h] = [plot.width, plot.height + 18];
  const out: string[] = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${w} ${h}" font-family="sans-serif" font-size="10">`,
    `<text x="40" y="12">${title}</text>`,
  ];
  const [x, ...rest] = plot.data as ArrayLike<Num>[];
  const left = plot.bbox.left / devicePixelRatio;
  const top = plot.bbox.top / devicePixelRatio + 18;
  rest.forEach((column, i) => {
    const line = plot.series[i + 1] as uPlot.Series & { _stroke?: string };
    const stroke = typeof line.stroke === "function" ? line.stroke(plot, i + 1) : line.stroke;
    if (!line.width) return;
    let path = "";
    for (let row = 0; row < x.length; row++) {
      if (column[row] == null) continue;
      const px = left + plot.valToPos(x[row] as number, "x");
      const py = top + plot.valToPos(column[row] as number, "y");
      path += `${path ? "L" : "M"}${px.toFixed(1)} ${py.toFixed(1)}`;
    }
    const dash = line.dash ? ` stroke-dasharray="${line.dash.join(" ")}"` : "";
    out.push(`<path d="${path}" fill="none" stroke="${String(stroke)}" stroke-width="${line.width}"${dash}/>`);
  });
  const { min: low, max: high } = plot.scales.y;
  out.push(`<text x="2" y="${top + plot.bbox.height / devicePixelRatio}">${(low ?? 0).toPrecision(3)}</text>`);
  out.push(`<text x="2" y="${top + 8}">${(high ?? 0).toPrecision(3)}</text>`);
  out.push(`<text x="${left}" y="${h - 2}">${x[0]} s</text><text x="${w - 40}" y="${h - 2}">${x[x.length - 1]} s</text></svg>`);
  return out.join("\n");
}

/** Hand a text to the browser as a file of that name. */
export function download(name: string, text: string, type: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
