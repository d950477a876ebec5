/** Durations and ages as a person reads them. Seconds in, text out. */

export const secondsBetween = (from: string, to_ms: number): number => (to_ms - Date.parse(from)) / 1000;

/** 252 -> "4:12", -83 -> "-1:23", 3725 -> "1:02:05". */
export function clock(seconds: number): string {
  const sign = seconds < 0 ? "-" : "";
  const s = Math.floor(Math.abs(seconds));
  const h = Math.floor(s / 3600);
  const m = Math.floor((s % 3600) / 60);
  const rest = String(s % 60).padStart(2, "0");
  return h > 0 ? `${sign}${h}:${String(m).padStart(2, "0")}:${rest}` : `${sign}${m}:${rest}`;
}

/** A measured duration, to the nearest second as reports print it; a running clock counts whole seconds that have passed. */
export const duration = (seconds: number): string => clock(Math.round(seconds));

/** How old something is, in one short word: "12 dtk", "3 mnt", "2 jam". */
export function age(seconds: number, english: boolean): string {
  const s = Math.max(0, Math.round(seconds));
  if (s < 90) return `${s} ${english ? "s" : "dtk"}`;
  if (s < 5400) return `${Math.round(s / 60)} ${english ? "min" : "mnt"}`;
  if (s < 172_800) return `${Math.round(s / 3600)} ${english ? "h" : "jam"}`;
  return `${Math.round(s / 86_400)} ${english ? "d" : "hari"}`;
}

/** Local wall-clock time of the region, "03:12:44". */
export function wallTime(ms: number, utcOffsetH: number, withSeconds = true): string {
  return new Date(ms + utcOffsetH * 3_600_000).toISOString().slice(11, withSeconds ? 19 : 16);
}

/** Great-circle distance in metres; good to 0.5 % at a city's size. */
export function metres(a: { lon: number; lat: number }, b: { lon: number; lat: number }): number {
  const rad = Math.PI / 180;
  const x = (b.lon - a.lon) * rad * Math.cos(((a.lat + b.lat) / 2) * rad);
  const y = (b.lat - a.lat) * rad;
  return Math.hypot(x, y) * 6_371_008;
}
