/** The wire's rows, as `dispatch/model.py` names them. Times are RFC 3339 strings in UTC. */

export type Id = string;
export type ReportState = "ringing" | "answered" | "abandoned" | "submitted" | "attached" | "dismissed";
export type IncidentState = "waiting" | "dispatched" | "on_scene" | "closed" | "cancelled" | "merged";
export type UnitState = "off_duty" | "available" | "committed" | "out_of_service";
export type AssignmentState =
  | "alerted"
  | "acknowledged"
  | "en_route"
  | "at_scene"
  | "transporting"
  | "at_hospital"
  | "cleared"
  | "declined"
  | "unanswered"
  | "withdrawn";

/** Fields that still hold their default may be left out on the wire: read them with `?? default`. */
export interface Place {
  lon: number;
  lat: number;
  accuracy_m?: number | null;
  source?: "device" | "aml" | "link" | "operator" | "partner";
  address?: string;
}

export interface Report {
  report_id: Id;
  channel: string;
  state: ReportState;
  rang_at: string;
  received_at: string;
  answered_at?: string | null;
  submitted_at?: string | null;
  ended_at?: string | null;
  kind?: string | null;
  place?: Place | null;
  description?: string;
  incident_id?: Id | null;
  answered_by?: string | null;
  dismissed_for?: string | null;
  repeat_of?: Id | null;
  /** Whether there is a number to call back; the number itself is asked for with a purpose. */
  has_phone?: boolean;
}

export interface Incident {
  incident_id: Id;
  kind: string;
  priority: number;
  highest_priority: number;
  place: Place;
  state: IncidentState;
  first_ring_at: string;
  opened_at: string;
  plan: string;
  mode: string;
  alarm_level?: number;
  zone?: string | null;
  report_ids: Id[];
  assignment_ids: Id[];
  first_at_scene_at?: string | null;
  first_capable_at_scene_at?: string | null;
  warned_at?: string | null;
  /** Rung of the ladder that has heard of the warning, from 1; 0 while there is none. */
  warning_level?: number;
  warning_due_at?: string | null;
  warning_acked_at?: string | null;
  breached_at?: string | null;
  retry_at?: string | null;
  required?: string[];
  unfilled?: string[];
  /** Open incidents this one may be a duplicate of, with likeness 0..1. */
  like?: Record<Id, number>;
  /** P(first capable unit at scene in time) as last predicted. */
  chance?: number | null;
  predicted_at?: string | null;
  confirmed?: boolean;
  confirm_due_at?: string | null;
  merged_into?: Id | null;
  ended_at?: string | null;
  /** `role:name` of who closed or cancelled it. */
  ended_by?: string | null;
  outcome?: string | null;
  triage?: Record<string, string>;
  /** The latest notes, oldest first. */
  notes?: string[];
  /** As last counted by a crew at the scene. */
  patients?: number | null;
  version: number;
  /** The latest recommendation for each place of the plan. */
  recommended?: Recommendation[];
}

export interface Recommendation {
  capability: string;
  chosen?: Id | null;
  candidates: Candidates;
  policy?: string;
  router?: string;
  approximate?: boolean;
}

/** Where a free unit should stand instead; ordered at `due_at` unless somebody declines. */
export interface MoveUp {
  post: string;
  due_at: string;
  gain?: number | null;
  declined?: boolean;
}

export interface Unit {
  unit_id: Id;
  unit_type: string;
  agency: string;
  state: UnitState;
  capabilities: string[];
  home_post?: string | null;
  post?: string | null;
  moving_up_since?: string | null;
  move_up?: MoveUp | null;
  assignment_id?: Id | null;
  crew: string[];
  since?: string | null;
  position?: Position | null;
  out_of_service_for?: string | null;
  /** What the crew's check found wrong when it came on duty. */
  faults?: string[];
  moves_today?: number;
}

export interface Assignment {
  assignment_id: Id;
  incident_id: Id;
  unit_id: Id;
  capability: string;
  state: AssignmentState;
  assigned_at: string;
  assigned_by: string;
  eta_s?: number | null;
  arrival_sd_s?: number;
  ack_due_at?: string | null;
  /** No device answers: somebody must use the radio. */
  voice_task_at?: string | null;
  /** At the scene: a sign of life is due by then. */
  check_due_at?: string | null;
  /** When the sign of life failed to come. */
  silent_at?: string | null;
  /** What the crew told the hospital on the way. */
  notice?: string;
  alerts?: number;
  delivered_at?: string | null;
  seen_at?: string | null;
  acknowledged_at?: string | null;
  en_route_at?: string | null;
  at_scene_at?: string | null;
  geofence_at?: string | null;
  at_patient_at?: string | null;
  transporting_at?: string | null;
  at_hospital_at?: string | null;
  ended_at?: string | null;
  hospital_id?: string | null;
  reason?: string;
}

export interface Position {
  unit_id: Id;
  lon: number;
  lat: number;
  heading_deg?: number | null;
  speed_mps?: number | null;
  fixed_at: string;
  accuracy_m?: number | null;
}

/** A closed or slow stretch of road. */
export interface Restriction {
  restriction_id: Id;
  place: Place;
  radius_m: number;
  reason: string;
  street: string;
  /** How many times slower; null: closed. */
  factor: number | null;
  since: string;
  until: string | null;
  by: string;
}

export interface Candidates {
  unit_ids: Id[];
  eta_s: (number | null)[];
  chance: number[];
  verdict: string[];
  cost?: number[];
  fix_age_s?: (number | null)[];
}

/** An event of `dispatch/events.py`: its tag under `kind`, its own fields beside it. */
export type JournalEvent = { kind: string } & Record<string, unknown>;

export interface Entry {
  seq: number;
  at: string;
  actor: { role: string; name: string } | string;
  event: JournalEvent;
}

export interface Who {
  name: string;
  incident_id: Id | null;
  typing: boolean;
}

export interface Rows {
  reports?: Report[];
  incidents?: Incident[];
  units?: Unit[];
  assignments?: Assignment[];
  /** The whole list; left out or null when nothing about it changed. */
  restrictions?: Restriction[] | null;
}

export type StreamMessage =
  | ({ type: "snapshot"; seq: number; at: string; positions?: Position[] } & Rows)
  | ({ type: "changes"; seq: number; at: string; entries?: Entry[] } & Rows)
  | { type: "positions"; at: string; positions: Position[] }
  | { type: "presence"; who: Who[] }
  | { type: "status"; degraded: boolean; at?: string }
  | { type: "reload" };

export interface Kind {
  code: string;
  name_id: string;
  name_en: string;
  priority: number;
  agency: string;
  keywords?: string[];
  medical?: boolean;
}

export interface TriageAnswer {
  code: string;
  name_id: string;
  name_en: string;
  advice_id?: string;
  advice_en?: string;
}
export interface Question {
  code: string;
  text_id: string;
  text_en: string;
  answers: TriageAnswer[];
  when_question?: string | null;
  when_answers?: string[];
}

export interface Named {
  code: string;
  name: string;
  lon: number;
  lat: number;
}

export interface UnitType {
  code: string;
  letter: string;
  name_id: string;
  name_en: string;
  transport?: boolean;
}

/** `GET /api/v1/region` with its lists turned into look-ups; see `region.ts`. */
export interface Region {
  code: string;
  name: string;
  bbox: [number, number, number, number];
  utc_offset_h: number;
  kinds: Record<string, Kind>;
  unit_types: Record<string, UnitType>;
  capabilities: Record<string, { code: string; name_id: string; name_en: string }>;
  posts: Record<string, Named>;
  hospitals: Record<string, Named>;
  zones: Record<string, Named>;
  agencies: Record<string, { code: string; name: string; phone?: string }>;
  limits: {
    target_s: number;
    fix_stale_s: number;
    duplicate_radius_m: number;
    answer_due_s: number;
    answer_claim_s: number;
  };
  /** True while travel times come from straight lines or inferred roads. */
  approximate: boolean;
}

export interface Account {
  username: string;
  name: string;
  role: string;
}
