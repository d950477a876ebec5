/** What a crew may do next, from the job's state alone, and how queued actions change the picture. Pure. */
import type { AssignmentState, UnitState } from "../lib/types";

export interface Job {
  assignment: {
    assignment_id: string;
    incident_id: string;
    unit_id: string;
    state: AssignmentState;
    assigned_at: string;
    eta_s?: number | null;
    arrival_sd_s?: number;
    ack_due_at?: string | null;
    at_patient_at?: string | null;
    at_scene_at?: string | null;
    geofence_at?: string | null;
    hospital_id?: string | null;
    /** At the scene: a sign of life is due by then. */
    check_due_at?: string | null;
    silent_at?: string | null;
    reason?: string;
  };
  incident: {
    incident_id: string;
    kind: string;
    kind_name: string;
    kind_name_en?: string;
    medical?: boolean;
    priority: number;
    place: { lon: number; lat: number; accuracy_m?: number | null; source?: string; address?: string };
    first_ring_at: string;
    deadline: string;
    state: string;
    descriptions: string[];
    facts?: { question_id: string; question_en: string; answer_id: string; answer_en: string }[];
    notes?: string[];
    premises?: { name: string; note_id: string; note_en: string }[];
    patients?: number | null;
    units: string[];
    place_notes?: { note_id: string; kind: string; text_id: string; text_en: string; distance_m: number }[];
  };
  hospital?: Hospital | null;
}

export interface Hospital {
  hospital_id: string;
  name: string;
  lon: number;
  lat: number;
  emergency: boolean;
  eta_s?: number | null;
  /** Our own units at its door, on their way there, and how long the first has waited. */
  units_there?: number;
  units_coming?: number;
  waited_s?: number | null;
}

/** An incident that lacks a unit like this one, while this one is busy. */
export interface Waiting {
  incident_id: string;
  kind_name: string;
  kind_name_en: string;
  priority: number;
  address: string;
  first_ring_at: string;
}

/** `GET /api/v1/unit/setup`: kept for the day. */
export interface Setup {
  unit_id: string;
  tiles: string[];
  backup: { capability: string; name_id: string; name_en: string }[];
  posts: Record<string, string>;
  /** A sign of life is owed this often at the scene; null: not here. */
  crew_check_s?: number | null;
}

export interface CrewUnit {
  unit_id: string;
  unit_type: string;
  state: UnitState;
  capabilities: string[];
  post?: string | null;
  moving_up_since?: string | null;
  assignment_id?: string | null;
  crew: string[];
  since?: string | null;
  out_of_service_for?: string | null;
}

export type Verb =
  | "start_duty"
  | "end_duty"
  | "receipt_job"
  | "acknowledge_job"
  | "decline_job"
  | "report_en_route"
  | "report_at_scene"
  | "report_at_patient"
  | "report_transporting"
  | "report_at_hospital"
  | "report_clear"
  | "count_patients"
  | "report_safe"
  | "request_backup"
  | "note_incident"
  | "take_out_of_service"
  | "return_to_service";

/** One pressed button, with the phone's own time, waiting for the line. */
export interface Action {
  /** Idempotency key and order: made when pressed. */
  key: string;
  order: number;
  verb: Verb;
  body: Record<string, unknown>;
  device_at: string;
  /** The phone's own clock when it was pressed, and what had to be added to it then. */
  pressed_ms: number;
  offset_ms: number;
  /** What `device_at` was before a wrong clock was mended. */
  said_at?: string;
  /** Not sent before this moment: the seconds in which it can still be undone. */
  send_at_ms: number;
}

const LEADS_TO: Partial<Record<Verb, AssignmentState>> = {
  acknowledge_job: "acknowledged",
  decline_job: "declined",
  report_en_route: "en_route",
  report_at_scene: "at_scene",
  report_transporting: "transporting",
  report_at_hospital: "at_hospital",
  report_clear: "cleared",
};

const ENDED: ReadonlySet<AssignmentState> = new Set(["cleared", "declined", "unanswered", "withdrawn"]);

/** The state the crew sees: the server's, with its own unsent actions on top. */
export function seenState(job: Job, queue: readonly Action[]): AssignmentState {
  let state = job.assignment.state;
  for (const a of queue) {
    if (a.body.assignment_id !== job.assignment.assignment_id) continue;
    // A geofence only proposes; it never sets.
    if (a.verb === "report_at_scene" && a.body.by === "geofence") continue;
    state = LEADS_TO[a.verb] ?? state;
  }
  return state;
}

export const isOver = (state: AssignmentState): boolean => ENDED.has(state);

export function seenUnit(unit: CrewUnit, queue: readonly Action[]): UnitState {
  let state = unit.state;
  for (const a of queue) {
    if (a.verb === "start_duty" || a.verb === "return_to_service") state = "available";
    if (a.verb === "end_duty") state = "off_duty";
    if (a.verb === "take_out_of_service") state = "out_of_service";
  }
  return state;
}

export interface Step {
  verb: Verb;
  label: [id: string, en: string];
  /** The one big button; the others stand small beside it. */
  main: boolean;
  /** Waits a few seconds so that a glove's slip can be undone. Answering a call never waits. */
  undoable: boolean;
}

/** Buttons in the only legal order (dispatch/transitions.py), the expected one first. */
export function nextSteps(state: AssignmentState, canTransport: boolean, atPatient: boolean): Step[] {
  const step = (verb: Verb, id: string, en: string, main: boolean, undoable = true): Step => ({
    verb,
    label: [id, en],
    main,
    undoable,
  });
  switch (state) {
    case "alerted":
      return [
        step("report_en_route", "Terima & berangkat", "Accept & go", true, false),
        step("decline_job", "Tolak", "Decline", false, false),
      ];
    case "acknowledged":
      return [
        step("report_en_route", "Berangkat", "Rolling", true, false),
        step("decline_job", "Tolak", "Decline", false, false),
      ];
    case "en_route":
      return [
        step("report_at_scene", "Tiba di lokasi", "At scene", true),
        step("decline_job", "Tidak bisa lanjut", "Cannot go on", false, false),
      ];
    case "at_scene":
      if (!canTransport) return [step("report_clear", "Selesai", "Clear", true)];
      return [
        ...(atPatient ? [] : [step("report_at_patient", "Bersama pasien", "With patient", true)]),
        step("report_transporting", "Bawa ke rumah sakit", "To hospital", atPatient),
        step("report_clear", "Selesai di tempat", "Clear at scene", false),
      ];
    case "transporting":
      return [
        step("report_at_hospital", "Tiba di rumah sakit", "At hospital", true),
        step("report_clear", "Pasien turun di jalan", "Patient left", false),
      ];
    case "at_hospital":
      return [step("report_clear", "Selesai, siap lagi", "Clear, available", true)];
    default:
      return [];
  }
}

/** Older than this no step is taken for a true one (dispatch/decide_reports.py). */
const DAY_MS = 86_400_000;

/** By how much the centre says a time lies ahead of its clock, in seconds; negative when it is too old, null for other refusals. */
export function clockError_s(code: string, detail: unknown): number | null {
  const figures = (detail ?? {}) as { ahead_s?: number; age_s?: number };
  if (code === "time_in_future" && figures.ahead_s) return figures.ahead_s;
  if (code === "time_too_old" && figures.age_s) return -figures.age_s;
  return null;
}

/**
 * The centre says that an action lies `ahead_s` in its future (or, negative, days in its past): the phone's clock was wrong when
 * it was pressed. Its true time is the phone's plus what the clock is known to be off by; where that cannot be, the centre's
 * present is taken. Every action timed by the same clock is mended with it, and keeps what it had said.
 */
export function mended(queue: readonly Action[], refused: Action, ahead_s: number, offset_ms: number): Action[] {
  const present_ms = Date.parse(refused.device_at) - ahead_s * 1000;
  const known_ms = refused.pressed_ms + offset_ms;
  const possible = known_ms <= present_ms && known_ms > present_ms - DAY_MS;
  const by_ms = (possible ? known_ms : present_ms) - Date.parse(refused.device_at);
  return queue.map((a) =>
    a.offset_ms !== refused.offset_ms
      ? a
      : {
          ...a,
          device_at: new Date(Date.parse(a.device_at) + by_ms).toISOString(),
          said_at: a.said_at ?? a.device_at,
          offset_ms: a.offset_ms + by_ms,
        },
  );
}

/** What a crew looks at before it drives: [Indonesian, English], by what the vehicle is for. */
export function vehicleChecks(capabilities: readonly string[]): [id: string, en: string][] {
  const has = (...any: string[]): boolean => any.some((c) => capabilities.includes(c));
  return [
    ["Ban", "Tyres"],
    ["Rem", "Brakes"],
    ["Lampu & sirene", "Lights & siren"],
    ["BBM kurang", "Low fuel"],
    ["Radio", "Radio"],
    ...(has("ambulance", "als", "motorbike") ? ([["Oksigen", "Oxygen"]] as [string, string][]) : []),
    ...(has("ambulance", "als") ? ([["Tandu", "Stretcher"]] as [string, string][]) : []),
    ...(has("ambulance", "als", "motorbike") ? ([["Alat P3K", "First aid kit"]] as [string, string][]) : []),
    ...(has("engine", "tanker") ? ([["Air & pompa", "Water & pump"]] as [string, string][]) : []),
    ...(has("engine", "rescue", "ladder", "boat")
      ? ([["Alat penyelamatan", "Rescue tools"]] as [string, string][])
      : []),
  ];
}

/** Seconds between fixes: often when rolling, rarely when parked, to save the battery. */
export function fixInterval_s(state: AssignmentState | null, moving: boolean): number {
  if (state === "en_route" || state === "transporting") return 3;
  if (state === "alerted" || state === "acknowledged") return 5;
  return moving ? 10 : 60;
}
