/** An incident played again: what the map showed at any moment, from its rows, its timeline and the kept fixes. Pure. */
import type { IncidentMark, LineMark, Scene, UnitLook, UnitMark } from "../lib/map/overlay";
import type { Assignment, Entry, Incident } from "../lib/types";

export interface Fix {
  unit_id: string;
  lon: number;
  lat: number;
  fixed_at: string;
  heading_deg: number | null;
}

export interface Tracks {
  since: string;
  until: string;
  fixes: Fix[];
  thinned: boolean;
}

interface Step {
  at_ms: number;
  lon: number;
  lat: number;
  heading_deg: number | null;
}

export interface Replay {
  incident: Incident;
  assignments: Assignment[];
  entries: Entry[];
  from_ms: number;
  to_ms: number;
  ring_ms: number;
  thinned: boolean;
  steps: Map<string, Step[]>;
}

/** Between two fixes further apart than this nobody knows where the unit was: it is drawn stale at the earlier one. */
const GAP_MS = 60_000;

export function makeReplay(incident: Incident, assignments: Assignment[], entries: Entry[], tracks: Tracks): Replay {
  const steps = new Map<string, Step[]>();
  for (const f of tracks.fixes) {
    const list = steps.get(f.unit_id) ?? [];
    list.push({ at_ms: Date.parse(f.fixed_at), lon: f.lon, lat: f.lat, heading_deg: f.heading_deg });
    steps.set(f.unit_id, list);
  }
  for (const list of steps.values()) list.sort((a, b) => a.at_ms - b.at_ms);
  return {
    incident,
    assignments,
    entries,
    from_ms: Date.parse(tracks.since),
    to_ms: Date.parse(tracks.until),
    ring_ms: Date.parse(incident.first_ring_at),
    thinned: tracks.thinned,
    steps,
  };
}

/** Index of the last step at or before `at_ms`, -1 before the first. */
export function lastBefore(steps: readonly { at_ms: number }[], at_ms: number): number {
  let low = 0;
  let high = steps.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (steps[middle]!.at_ms <= at_ms) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** Where a unit was: between two near fixes on the line between them, else at the last one, stale. */
export function placeAt(steps: readonly Step[], at_ms: number): (Step & { stale: boolean; moving: boolean }) | null {
  const n = lastBefore(steps, at_ms);
  const before = steps[n];
  if (!before) return null;
  const after = steps[n + 1];
  if (!after || after.at_ms - before.at_ms > GAP_MS)
    return { ...before, stale: at_ms - before.at_ms > GAP_MS, moving: false };
  const f = (at_ms - before.at_ms) / Math.max(1, after.at_ms - before.at_ms);
  return {
    at_ms,
    lon: before.lon + (after.lon - before.lon) * f,
    lat: before.lat + (after.lat - before.lat) * f,
    heading_deg: before.heading_deg,
    stale: false,
    moving: before.lon !== after.lon || before.lat !== after.lat,
  };
}

const by = (at: string | null | undefined, now_ms: number): boolean => at != null && Date.parse(at) <= now_ms;

/** A unit's look from its assignment's own times; null while it is not on this incident. */
export function lookAt(a: Assignment, now_ms: number): UnitLook | null {
  if (!by(a.assigned_at, now_ms) || by(a.ended_at, now_ms)) return null;
  if (by(a.transporting_at, now_ms)) return "transport";
  if (by(a.at_scene_at, now_ms)) return "scene";
  if (by(a.en_route_at, now_ms)) return "rolling";
  return "alerted";
}

/** What the map showed at `at_ms`. `label` names the incident, `letter` a unit. */
export function sceneAt(
  r: Replay,
  at_ms: number,
  target_s: number,
  label: string,
  letter: (unit_id: string) => string,
): Scene {
  const { incident } = r;
  const units: UnitMark[] = [];
  const lines: LineMark[] = [];
  const looks = new Map<string, UnitLook>();
  for (const a of r.assignments) {
    const look = lookAt(a, at_ms);
    if (look) looks.set(a.unit_id, look);
  }
  for (const [id, steps] of r.steps) {
    const p = placeAt(steps, at_ms);
    if (!p) continue;
    const look = looks.get(id) ?? "free";
    units.push({
      id,
      letter: letter(id),
      look,
      lon: p.lon,
      lat: p.lat,
      heading_deg: p.heading_deg,
      moving: p.moving,
      stale: p.stale,
    });
    if (look === "alerted" || look === "rolling")
      lines.push({
        from: id,
        lon: incident.place.lon,
        lat: incident.place.lat,
        solid: look === "rolling",
        late: false,
      });
  }
  const incidents: IncidentMark[] = [];
  if (at_ms >= r.ring_ms) {
    const used = (at_ms - r.ring_ms) / 1000 / target_s;
    const helped = by(incident.first_capable_at_scene_at, at_ms) || by(incident.ended_at, at_ms);
    incidents.push({
      id: incident.incident_id,
      label,
      lon: incident.place.lon,
      lat: incident.place.lat,
      priority: incident.priority,
      tone: helped ? "done" : incident.priority === 1 && used >= 1 ? "late" : "calm",
      used,
      accuracy_m: incident.place.accuracy_m ?? null,
    });
  }
  return {
    units,
    incidents,
    lines,
    points: [],
    selectedIncident: incident.incident_id,
    selectedUnit: null,
    instant: true,
  };
}
