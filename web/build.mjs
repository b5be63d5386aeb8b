// Writes what the package carries: the page, its style and script with uPlot in it; beside it, what draws in three dimensions.
import { build } from "esbuild";
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));
const out = `${here}../uav_twin_migration/monitor/page/`;
mkdirSync(out, { recursive: true });
/** One script of an entry point and all that it imports, under the name and licence of what it carries. */
async function script(entry, file, carried, name) {
  const bundle = await build({
    absWorkingDir: here,
    entryPoints: [entry],
    bundle: true,
    minify: true,
    format: "iife",
    target: "es2022",
    charset: "ascii",
    legalComments: "none",
    write: false,
  });
  const { version } = JSON.parse(readFileSync(`${here}node_modules/${carried}/package.json`));
  writeFileSync(`${out}${file}`, `/* ${name} ${version}, MIT: see ${name}.LICENSE */\n${bundle.outputFiles[0].text}`);
  copyFileSync(`${here}node_modules/${carried}/LICENSE`, `${out}${name}.LICENSE`);
}

await script("src/main.ts", "page.js", "uplot", "uPlot");
await script("src/space.ts", "three.js", "three", "three");
const style = readFileSync(`${here}node_modules/uplot/dist/uPlot.min.css`, "utf8") + readFileSync(`${here}src/style.css`, "utf8");
writeFileSync(`${out}page.css`, style);
copyFileSync(`${here}page.html`, `${out}page.html`);
