import type { Space } from "./space";
import type { Page } from "./types";

/** three.js and what draws with it, once. */
export async function loadSpace(): Promise<typeof Space> {
  const holder = window as unknown as { Space?: typeof Space };
  if (!holder.Space) {
    await new Promise((done, fail) => {
      const script = document.createElement("script");
      script.src = "three.js";
      script.onload = done;
      script.onerror = () => fail(new Error("three.js did not come"));
      document.head.append(script);
    });
  }
  if (!holder.Space) throw new Error("three.js did not come");
  return holder.Space;
}

/** What the page was made with: within it, or asked of its server. */
export async function load(): Promise<Page> {
  const packed = document.getElementById("data")?.textContent?.trim();
  if (!packed) return { live: true, runs: [{ label: "", cast: { name: "", rsus: [], uavs: [], buildings: [], rho: null, period: null, origin: null, about: {} }, frames: [] }] };
  const bytes = Uint8Array.from(atob(packed), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text()) as Page;
}
