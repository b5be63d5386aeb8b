const TIME_OF_DAY = 1e8; // s, beyond which a time is no run's

/** Minutes and seconds of a run; of the time of day, where time is that. */
export function clock(t: number): string {
  if (t > TIME_OF_DAY) return new Date(1000 * t).toLocaleTimeString();
  const whole = Math.max(t, 0);
  return `${Math.floor(whole / 60)}:${(whole % 60).toFixed(1).padStart(4, "0")}`;
}

/** A word in a place of the page. */
export function text(id: string, value: string): void {
  const place = document.getElementById(id) as HTMLElement;
  if (place.textContent !== value) place.textContent = value;
}
