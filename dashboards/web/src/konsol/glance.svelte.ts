/** What lies on one operator's desk: the live city as lists, what is selected, and which papers are open. Changes nothing. */
import { get } from "../lib/api";
import { time } from "../lib/clock.svelte";
import { dangerOf, type Danger } from "../lib/danger";
import { Live } from "../lib/live.svelte";
import { nextOrder } from "../lib/order";
import { reversePlace } from "../lib/places";
import { loadRegion } from "../lib/region";
import { metres } from "../lib/time";
import type { Account, Assignment, Entry, Incident, Place, Recommendation, Region, Report } from "../lib/types";
import { Attention } from "./attention.svelte";
import type { Seen } from "./difference";
import type { Replay } from "./replay";
import { kindName, shortId } from "./words";

export interface Row {
  incident: Incident;
  danger: Danger;
  active: Assignment[];
}

export interface Ask {
  title: string;
  hint?: string;
  presets: string[];
  confirm: string;
  minimum: number;
  resolve: (text: string | null) => void;
}

export interface Call {
  /** Null: a report without a call (walk-in, radio). */
  report_id: string | null;
}

/** A place a reporter has pointed at after the incident was opened. */
export interface Pointed {
  place: Place;
  away_m: number;
  at: string;
  seq: number;
}

export type Sheet = "find" | "log" | "handover";

export interface Past {
  incident: Incident;
  assignments: Assignment[];
  reports: Report[];
}

/** A new row keeps its mark this long, or until it is opened. */
const NEW_MARK_MS = 40_000;
/** Nearer than this it is the same house or the one beside it. */
const SAME_PLACE_M = 50;
/** Look-ups of place names under way at once: names are worth less than everything else on the line. */
const NAMING_MAX = 3;
export const OPEN = new Set(["waiting", "dispatched", "on_scene"]);

export class Glance {
  live = new Live("/api/v1/console/stream");
  account: Account;
  attention = new Attention(this);
  region = $state.raw<Region | null>(null);
  selected = $state<string | null>(null);
  selectedUnit = $state<string | null>(null);
  calls = $state<Call | null>(null);
  ask = $state.raw<Ask | null>(null);
  commandOpen = $state(false);
  commandSeed = $state("");
  helpOpen = $state(false);
  held = $state(false);
  typing = $state(false);
  filter = $state("");
  /** The shift's papers: search, log book, handover; null: put away. */
  sheet = $state<Sheet | null>(null);
  /** Search words the sheet opens with. */
  sheetSeed = $state("");
  hindrancesOpen = $state(false);
  replay = $state.raw<Replay | null>(null);
  /** The selected incident when it has left the live city: from the tables. */
  past = $state.raw<Past | null>(null);
  /** Full history of the selected incident, as last fetched. */
  history = $state.raw<{ id: string; entries: Entry[]; failed: boolean } | null>(null);
  order = $state.raw<string[]>([]);
  /** Place being reported in the call form; the map shows it and the detail of nothing else. */
  pin = $state.raw<{ lon: number; lat: number } | null>(null);
  /** Who wants a place now; it is picked on the map or named. */
  pickPlace = $state.raw<((at: { lon: number; lat: number; name?: string }) => unknown) | null>(null);

  #born = new Map<string, number>();
  #firstSeen = false;

  constructor(account: Account) {
    this.account = account;
    this.live.onEntry = (entry) => this.attention.hear(entry);
    this.live.onMessage = () => this.attention.ring();
  }

  async start(): Promise<void> {
    this.live.start();
    for (;;) {
      try {
        this.region = await loadRegion();
        return;
      } catch {
        await new Promise((again) => setTimeout(again, 2000));
      }
    }
  }

  stop(): void {
    this.live.stop();
  }

  // --- what is on the desk

  target_s = $derived(this.region?.limits.target_s ?? 420);

  reports = $derived.by(() => {
    void this.live.rev;
    return [...this.live.world.reports.values()];
  });
  ringing = $derived(
    this.reports
      .filter((r) => r.state === "ringing")
      .sort(
        (a, b) => Number(Boolean(b.repeat_of)) - Number(Boolean(a.repeat_of)) || a.rang_at.localeCompare(b.rang_at),
      ),
  );
  abandoned = $derived(
    this.reports.filter((r) => r.state === "abandoned").sort((a, b) => a.rang_at.localeCompare(b.rang_at)),
  );
  answered = $derived(
    this.reports.filter((r) => r.state === "answered" || (r.state === "submitted" && !r.incident_id)),
  );

  rows = $derived.by(() => {
    void this.live.rev;
    const now = time.now_ms;
    const world = this.live.world;
    const rows = new Map<string, Row>();
    for (const incident of world.incidents.values()) {
      if (!OPEN.has(incident.state)) continue;
      const active: Assignment[] = [];
      for (const id of incident.assignment_ids) {
        const a = world.assignments.get(id);
        if (a && isActive(a)) active.push(a);
      }
      rows.set(incident.incident_id, { incident, active, danger: dangerOf(incident, active, now, this.target_s) });
    }
    return rows;
  });

  queue = $derived.by(() => {
    const text = this.filter.trim().toLowerCase();
    const rows: Row[] = [];
    for (const id of this.order) {
      const row = this.rows.get(id);
      if (row && (!text || this.#matches(row, text))) rows.push(row);
    }
    return rows;
  });

  units = $derived.by(() => {
    void this.live.unitRev;
    return [...this.live.world.units.values()];
  });

  current = $derived.by(() => {
    void this.live.rev;
    if (!this.selected) return null;
    const live = this.live.world.incidents.get(this.selected);
    return live ?? (this.past?.incident.incident_id === this.selected ? this.past.incident : null);
  });

  restrictions = $derived.by(() => {
    void this.live.rev;
    return [...this.live.world.restrictions.values()];
  });

  stale_s = $derived.by(() => {
    void time.now_ms;
    return Math.max(0, (Date.now() - this.live.heard_ms) / 1000);
  });

  /** Keep the list's order; called every second and on every change. */
  arrange(): void {
    const items = [...this.rows.values()].map((r) => ({ id: r.incident.incident_id, score: r.danger.score }));
    const next = nextOrder(this.order, items, this.held);
    if (next.length !== this.order.length || next.some((id, n) => id !== this.order[n])) this.order = next;
    const now = Date.now();
    for (const { id } of items) if (!this.#born.has(id)) this.#born.set(id, this.#firstSeen ? now : 0);
    for (const id of this.#born.keys()) if (!this.rows.has(id)) this.#born.delete(id);
    if (this.live.ready) this.#firstSeen = true;
  }

  isNew(id: string): boolean {
    void time.now_ms;
    return Date.now() - (this.#born.get(id) ?? 0) < NEW_MARK_MS;
  }

  #matches(row: Row, text: string): boolean {
    const i = row.incident;
    return (
      `${shortId(i.incident_id)} ${kindName(this.region, i.kind)} ${i.place.address ?? ""} ${this.region?.zones[i.zone ?? ""]?.name ?? ""}`
        .toLowerCase()
        .includes(text) || row.active.some((a) => a.unit_id.toLowerCase().includes(text))
    );
  }

  #addresses = $state.raw(new Map<string, string>());
  #naming = new Set<string>();

  /** What a place is called. Phones send bare positions: those are looked up once, a few at a time. */
  placeName(place: Place): string {
    if (place.address) return place.address;
    const key = `${place.lon.toFixed(5)},${place.lat.toFixed(5)}`;
    const known = this.#addresses.get(key);
    if (known === undefined && !this.#naming.has(key) && this.#naming.size < NAMING_MAX) {
      this.#naming.add(key);
      void reversePlace(place).then((name) => {
        this.#naming.delete(key);
        const next = new Map([...this.#addresses].slice(-500));
        this.#addresses = next.set(key, name);
      });
    }
    return known ?? "";
  }

  // --- selection

  select(id: string | null): void {
    this.selected = id;
    if (id) {
      this.#born.set(id, 0);
      this.attention.seen(id);
      void this.loadHistory(id);
    }
    this.live.look(id, this.typing);
  }

  setTyping(on: boolean): void {
    if (this.typing === on) return;
    this.typing = on;
    this.live.look(this.selected, on);
  }

  step(by: number): void {
    const at = this.queue.findIndex((r) => r.incident.incident_id === this.selected);
    const next = this.queue[Math.min(this.queue.length - 1, Math.max(0, at + by))];
    if (next) this.select(next.incident.incident_id);
  }

  assignmentsOf(incident: Incident): Assignment[] {
    void this.live.rev;
    const gone = this.past?.incident.incident_id === incident.incident_id ? this.past.assignments : [];
    return incident.assignment_ids
      .map((id) => this.live.world.assignments.get(id) ?? gone.find((a) => a.assignment_id === id))
      .filter((a): a is Assignment => a !== undefined);
  }

  reportsOf(incident: Incident): Report[] {
    void this.live.rev;
    const gone = this.past?.incident.incident_id === incident.incident_id ? this.past.reports : [];
    return incident.report_ids
      .map((id) => this.live.world.reports.get(id) ?? gone.find((r) => r.report_id === id))
      .filter((r): r is Report => r !== undefined);
  }

  async loadHistory(id: string): Promise<void> {
    try {
      const answer = await get<Past & { timeline: Entry[] }>(`/api/v1/incidents/${encodeURIComponent(id)}`);
      if (this.selected !== id) return;
      this.past = { incident: answer.incident, assignments: answer.assignments, reports: answer.reports };
      this.history = { id, entries: answer.timeline, failed: false };
    } catch {
      if (this.selected === id) this.history = { id, entries: [], failed: true };
    }
  }

  /** When a report's position came: as far as is known here, so that its age is never understated. */
  positionAt(report: Report): string {
    return this.#corrected(report)?.at ?? report.received_at;
  }

  /** The line by which the reporter, or the phone, told another place later. */
  #corrected(report: Report): Entry | undefined {
    void this.live.rev;
    const lines = [...(this.history?.entries ?? []), ...(this.live.entries.get(report.report_id) ?? [])];
    return lines
      .filter((e) => e.event.kind === "report_located" && e.event.report_id === report.report_id)
      .sort((a, b) => a.seq - b.seq)
      .at(-1);
  }

  /** Pointings an operator has looked at and left alone. */
  leftAlone = $state.raw(new Set<number>());

  /** Where a reporter has pointed since, when that is another place than the one units are sent to; the latest of them. */
  pointed(incident: Incident): Pointed | null {
    let latest: Pointed | null = null;
    for (const report of this.reportsOf(incident)) {
      const line = this.#corrected(report);
      if (!line || !report.place || this.leftAlone.has(line.seq) || (latest && latest.seq > line.seq)) continue;
      const away_m = metres(report.place, incident.place);
      if (away_m > Math.max(SAME_PLACE_M, report.place.accuracy_m ?? 0))
        latest = { place: report.place, away_m, at: line.at, seq: line.seq };
    }
    return latest;
  }

  /** Every known line about an incident, oldest first. */
  entriesOf(incident: Incident): Entry[] {
    void this.live.rev;
    const bySeq = new Map<number, Entry>();
    if (this.history?.id === incident.incident_id) for (const e of this.history.entries) bySeq.set(e.seq, e);
    for (const id of [incident.incident_id, ...incident.report_ids, ...incident.assignment_ids])
      for (const e of this.live.entries.get(id) ?? []) bySeq.set(e.seq, e);
    return [...bySeq.values()].sort((a, b) => a.seq - b.seq);
  }

  picksOf(incident: Incident): Recommendation[] {
    return incident.recommended ?? [];
  }

  /** The incident as it is now, to be compared later. Null when it is not on the desk. */
  glimpse(id: string): Seen | null {
    const incident = this.live.world.incidents.get(id);
    if (!incident) return null;
    const units = incident.assignment_ids
      .map((a) => this.live.world.assignments.get(a))
      .filter((a) => a !== undefined && isActive(a))
      .map((a) => ({ unit_id: a!.unit_id, state: a!.state }));
    return { incident, units, seq: this.live.world.seq };
  }
}

const GONE = new Set(["cleared", "declined", "unanswered", "withdrawn"]);
/** Whether the unit still has this job. */
export const isActive = (a: Assignment): boolean => !a.ended_at && !GONE.has(a.state);
