/** Spans of time a control room speaks of, in the region's own hours. Pure. */

/** Operators relieve each other at seven in the morning and in the evening. */
const SHIFT_STARTS_H = [7, 19];
const HOUR_MS = 3_600_000;

export interface Span {
  since: string;
  until: string;
}

const span = (from_ms: number, to_ms: number): Span => ({
  since: new Date(from_ms).toISOString(),
  until: new Date(to_ms).toISOString(),
});

/** Start of the shift that runs at `now_ms`. */
export function shiftStart(now_ms: number, utcOffsetH: number): number {
  const local_h = (now_ms / HOUR_MS + utcOffsetH) % 24;
  const midnight_ms = now_ms - local_h * HOUR_MS;
  const begun = SHIFT_STARTS_H.filter((h) => h <= local_h).at(-1);
  return Math.round(midnight_ms + (begun ?? SHIFT_STARTS_H.at(-1)! - 24) * HOUR_MS);
}

/** The running shift (0), the one before (1), and so on; ends in the future while it runs. */
export function shift(now_ms: number, utcOffsetH: number, back: number): Span {
  let from_ms = shiftStart(now_ms, utcOffsetH);
  let to_ms = from_ms + 12 * HOUR_MS;
  for (let n = 0; n < back; n++) {
    to_ms = from_ms;
    from_ms = shiftStart(from_ms - 1, utcOffsetH);
  }
  return span(from_ms, to_ms);
}

/** The last `days` days; ends a minute from now so that what happens while looking is in it. */
export const lastDays = (now_ms: number, days: number): Span =>
  span(now_ms - days * 24 * HOUR_MS, Math.ceil(now_ms / 60_000) * 60_000 + 60_000);
