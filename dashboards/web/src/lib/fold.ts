/**
 * The console's copy of the city, kept by applying stream messages. Pure: no clock, no socket, no framework.
 *
 * Rule the tests hold: `snapshot + changes == fresh snapshot`.
 */
import type { Assignment, Entry, Id, Incident, Position, Report, Restriction, StreamMessage, Unit } from "./types";

export interface World {
  /** Last journal line this copy contains. */
  seq: number;
  at: string;
  reports: Map<Id, Report>;
  incidents: Map<Id, Incident>;
  units: Map<Id, Unit>;
  assignments: Map<Id, Assignment>;
  positions: Map<Id, Position>;
  restrictions: Map<Id, Restriction>;
}

/** Same hour as the server's snapshots use, so that a long-lived screen equals a reloaded one. */
export const KEEP_ENDED_MS = 3_600_000;

export function emptyWorld(): World {
  return {
    seq: 0,
    at: "",
    reports: new Map(),
    incidents: new Map(),
    units: new Map(),
    assignments: new Map(),
    positions: new Map(),
    restrictions: new Map(),
  };
}

type Snapshot = Extract<StreamMessage, { type: "snapshot" }>;
type Changes = Extract<StreamMessage, { type: "changes" }>;

export function fromSnapshot(message: Snapshot): World {
  const world = emptyWorld();
  world.seq = message.seq;
  world.at = message.at;
  put(world, message);
  for (const unit of world.units.values()) {
    if (unit.position) world.positions.set(unit.unit_id, { ...unit.position, unit_id: unit.unit_id });
  }
  applyPositions(world, message.positions ?? []);
  return world;
}

/**
 * What became of a `changes` message: `applied`; `old`, it says nothing new; `gap`, lines between are missing and the
 * caller must resume from `world.seq`.
 */
export function applyChanges(world: World, message: Changes): "applied" | "old" | "gap" {
  if (message.seq <= world.seq) return "old";
  const first = message.entries?.[0];
  if (first && first.seq > world.seq + 1) return "gap";
  put(world, message);
  world.seq = message.seq;
  world.at = message.at;
  return "applied";
}

/** A fix older than the one on the map is dropped: late packets must not move a unit back. */
export function applyPositions(world: World, positions: Position[]): void {
  for (const p of positions) {
    const before = world.positions.get(p.unit_id);
    if (!before || before.fixed_at <= p.fixed_at) world.positions.set(p.unit_id, p);
  }
}

function put(
  world: World,
  rows: Pick<Changes, "reports" | "incidents" | "units" | "assignments" | "restrictions">,
): void {
  for (const r of rows.reports ?? []) world.reports.set(r.report_id, r);
  for (const r of rows.incidents ?? []) world.incidents.set(r.incident_id, r);
  for (const r of rows.units ?? []) world.units.set(r.unit_id, r);
  for (const r of rows.assignments ?? []) world.assignments.set(r.assignment_id, r);
  if (rows.restrictions) world.restrictions = new Map(rows.restrictions.map((r) => [r.restriction_id, r]));
}

/**
 * Forget what ended more than an hour before `now_ms`; keeps a screen's memory flat over a shift. The ids of all that
 * went, so that what else is kept about them can go too.
 */
export function forgetEnded(world: World, now_ms: number): Id[] {
  const gone: Id[] = [];
  const old = (at: string | null | undefined) => at != null && Date.parse(at) < now_ms - KEEP_ENDED_MS;
  for (const [id, incident] of world.incidents) {
    if (!old(incident.ended_at)) continue;
    for (const a of incident.assignment_ids) world.assignments.delete(a);
    for (const r of incident.report_ids) world.reports.delete(r);
    world.incidents.delete(id);
    gone.push(id, ...incident.assignment_ids, ...incident.report_ids);
  }
  for (const [id, report] of world.reports) {
    if (report.incident_id || !old(report.ended_at)) continue;
    world.reports.delete(id);
    gone.push(id);
  }
  return gone;
}

/** Ids an entry speaks of, so that a timeline can gather its lines. */
export function subjects(entry: Entry): Id[] {
  const ids: Id[] = [];
  for (const key of ["incident_id", "report_id", "assignment_id", "like", "into"]) {
    const value = entry.event[key];
    if (typeof value === "string") ids.push(value);
  }
  return ids;
}
