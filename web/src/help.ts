/** What each number means, in a sentence, and the page of the documentation that says more. */
export const HELP: Record<string, [string, string]> = {
  exploitability: [
    "What RSUs forgo, on average, of the profit that each could make by changing its price alone. 0 % at an equilibrium.",
    "game",
  ],
  immersion: [
    "What a UAV's users perceive: G = α ln(1 + X/d), with their weight α, the rate X at which their twin moves, and the rate d at which it would arrive just in time. Perception grows with the logarithm of the stimulus (Weber and Fechner).",
    "game",
  ],
  moved: ["Twins that have moved to another RSU so far, and attempts that failed.", "migration"],
  downtime: ["How long nobody could serve the twin that moved last: frozen, its last changes sent, taken over.", "migration"],
  age: ["How old what users know of their UAVs is, on average: the time since the newest telemetry in what they see.", "migration"],
  price: ["What an RSU posts for a megahertz in this round; dashed, its price in the equilibrium of this instant.", "game"],
  equilibrium: ["The price at which, with everybody else at theirs, no RSU could earn more by moving alone.", "game"],
  load: ["The part of the RSU's bandwidth that is under lease to UAVs now.", "market"],
  profit: ["(price − unit cost) × bandwidth sold in the last round.", "game"],
  cost: ["What a megahertz costs the RSU itself. Private: rivals do not know it.", "game"],
  cap: ["The highest price that the market allows.", "game"],
  twins: ["Digital twins that this RSU hosts.", "migration"],
  rate: ["The effective rate X at which the UAV's twin would move with what it has bought; d is the rate it needs.", "game"],
  utility: ["Immersion minus what the UAV pays in a round.", "game"],
  spending: ["What the UAV pays for the bandwidth that it holds.", "game"],
  gap: ["How far the twin's idea of where its UAV is lies from where the UAV is.", "migration"],
  rho: ["Substitutability: how well one RSU's bandwidth stands in for another's. Near 1 they compete hard; near 0 each is needed.", "game"],
  health: ["Missed rounds, silent RSUs and what nodes complain about.", "market"],
};

/** A sentence that explains a number, on hover and on focus. */
export function help(element: HTMLElement, key: string): void {
  const [sentence, page] = HELP[key];
  element.tabIndex = 0;
  element.classList.add("explained");
  const tip = document.getElementById("tip") as HTMLElement;
  const open = (): void => {
    const link = document.createElement("a");
    link.href = `docs/${page}.md`;
    link.textContent = `docs/${page}.md`;
    tip.replaceChildren(`${sentence} `, link);
    tip.hidden = false;
    const box = element.getBoundingClientRect();
    tip.style.left = `${Math.max(Math.min(box.left, innerWidth - tip.offsetWidth - 10), 8)}px`;
    const below = box.bottom + 4 + tip.offsetHeight < innerHeight;
    tip.style.top = `${below ? box.bottom + 4 : box.top - tip.offsetHeight - 4}px`;
  };
  let closing = 0;
  const close = (): void => {
    closing = window.setTimeout(() => (tip.hidden = true), 250);
  };
  element.addEventListener("pointerenter", open);
  element.addEventListener("focus", open);
  element.addEventListener("pointerleave", close);
  element.addEventListener("blur", close);
  tip.addEventListener("pointerenter", () => clearTimeout(closing));
  tip.addEventListener("pointerleave", () => (tip.hidden = true));
  element.setAttribute("aria-description", sentence);
}
