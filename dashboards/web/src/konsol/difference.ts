/** What became of an incident between the moment somebody looked and now, side by side. Pure. */
import type { AssignmentState, Id, Incident, IncidentState } from "../lib/types";

/** An incident as it was when an operator began to do something about it. Rows are replaced, never changed, so this keeps. */
export interface Seen {
  incident: Incident;
  units: { unit_id: Id; state: AssignmentState }[];
  /** Last journal line known then. */
  seq: number;
}

export interface Difference {
  label: string;
  before: string;
  now: string;
}

/** How an operator calls things; given by the screen, so that this stays free of language and region. */
export interface Words {
  label: (field: Field) => string;
  state: (state: IncidentState) => string;
  kind: (code: string) => string;
  place: (incident: Incident) => string;
  capability: (code: string) => string;
  unit: (unit_id: Id, state: AssignmentState) => string;
  none: string;
}

export type Field =
  "state" | "kind" | "priority" | "place" | "alarm" | "units" | "missing" | "patients" | "note" | "merged" | "outcome";

const HERE = new Set<AssignmentState>(["at_scene", "transporting", "at_hospital"]);

/** Field by field; fields that are the same are left out. What a unit's step was matters only when it has arrived. */
export function differences(seen: Seen, now: Seen, words: Words): Difference[] {
  const one = seen.incident;
  const two = now.incident;
  const units = (s: Seen): string =>
    [...s.units]
      .sort((a, b) => a.unit_id.localeCompare(b.unit_id))
      .map((u) => words.unit(u.unit_id, HERE.has(u.state) ? "at_scene" : "en_route"))
      .join(", ");
  const rows: [Field, string, string][] = [
    ["state", words.state(one.state), words.state(two.state)],
    ["kind", words.kind(one.kind), words.kind(two.kind)],
    ["priority", `P${one.priority}`, `P${two.priority}`],
    ["place", words.place(one), words.place(two)],
    ["alarm", String(one.alarm_level ?? 1), String(two.alarm_level ?? 1)],
    ["units", units(seen), units(now)],
    ["missing", missing(one, words), missing(two, words)],
    ["patients", count(one.patients), count(two.patients)],
    ["note", one.notes?.at(-1) ?? "", two.notes?.at(-1) ?? ""],
    ["merged", short(one.merged_into), short(two.merged_into)],
    ["outcome", one.outcome ?? "", two.outcome ?? ""],
  ];
  return rows
    .filter(([, before, after]) => before !== after)
    .map(([field, before, after]) => ({
      label: words.label(field),
      before: before || words.none,
      now: after || words.none,
    }));
}

const missing = (i: Incident, words: Words): string => (i.unfilled ?? []).map(words.capability).join(", ");
const count = (n: number | null | undefined): string => (n == null ? "" : String(n));
const short = (id: string | null | undefined): string => (id ? id.slice(id.lastIndexOf("-") + 1) : "");
