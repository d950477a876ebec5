/**
 * How much the 7-minute promise of an incident is in danger, from the rows alone.
 *
 * The predicted arrival is the server's: `predicted_at` as last checked, else `assigned_at + eta_s` of the nearest coming
 * unit (turnout + travel as predicted when it was sent). The server's own alarm, `warned_at`, always counts.
 */
import type { Assignment, Incident } from "./types";
import { secondsBetween } from "./time";

export type Tone = "calm" | "risk" | "late" | "done";

export interface Danger {
  elapsed_s: number;
  /** Seconds from first ring to the predicted first arrival; null when nobody is coming. */
  predicted_s: number | null;
  /** Standard deviation of that prediction. */
  sd_s: number;
  /** Seconds from first ring to the first capable unit at the scene; null while the clock runs. */
  arrived_s: number | null;
  tone: Tone;
  /** Larger = more urgent. Comparable between all open incidents. */
  score: number;
}

const COMING = new Set(["alerted", "acknowledged", "en_route"]);

/** Wheels can hardly be at a scene sooner than this after a decision: turnout alone takes a minute (NFPA 1710, 60 s). */
const SOONEST_S = 120;

export const isComing = (a: Assignment): boolean => COMING.has(a.state);

/** Mirrors of the order: every running P1 before every P2 before every P3, and whoever has help at the scene last. */
const BAND = 100_000;

export function dangerOf(
  incident: Incident,
  assignments: Iterable<Assignment>,
  now_ms: number,
  target_s: number,
): Danger {
  const elapsed_s = secondsBetween(incident.first_ring_at, now_ms);
  const first = incident.first_capable_at_scene_at;
  const arrived_s = first ? (Date.parse(first) - Date.parse(incident.first_ring_at)) / 1000 : null;

  let predicted_s: number | null = null;
  let sd_s = 0;
  let coming = false;
  for (const a of assignments) {
    if (!isComing(a)) continue;
    coming = true;
    if (a.eta_s == null) continue;
    const at = (Date.parse(a.assigned_at) - Date.parse(incident.first_ring_at)) / 1000 + a.eta_s;
    // A unit that should have been there is at best about to arrive.
    const honest = Math.max(at, elapsed_s);
    if (predicted_s === null || honest < predicted_s) {
      predicted_s = honest;
      sd_s = a.arrival_sd_s ?? 0;
    }
  }

  if (coming && incident.predicted_at) {
    const at = (Date.parse(incident.predicted_at) - Date.parse(incident.first_ring_at)) / 1000;
    predicted_s = Math.max(at, elapsed_s);
  }

  if (arrived_s !== null) {
    return { elapsed_s, predicted_s: null, sd_s: 0, arrived_s, tone: "done", score: -elapsed_s / BAND };
  }
  const expected_s = predicted_s ?? elapsed_s + SOONEST_S;
  const over_s = expected_s - target_s;
  if (incident.priority > 1) {
    // No promise runs on P2 and P3; those nobody is sent to come first, then the longest waiting.
    const tone: Tone = predicted_s === null && elapsed_s > target_s ? "risk" : "calm";
    const unattended = predicted_s === null ? 10_000 : 0;
    return {
      elapsed_s,
      predicted_s,
      sd_s,
      arrived_s,
      tone,
      score: (4 - incident.priority) * BAND + unattended + Math.min(elapsed_s, 9000),
    };
  }
  let tone: Tone = "calm";
  if (elapsed_s >= target_s || over_s > 0) tone = "late";
  else if (incident.warned_at || over_s + sd_s > 0 || predicted_s === null) tone = "risk";
  return { elapsed_s, predicted_s, sd_s, arrived_s, tone, score: 3 * BAND + 20_000 + over_s };
}
