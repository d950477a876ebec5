/** One operator's desk: what is on it, what is selected, and everything the operator can do. */
import { call, command, get, Problem, type CommandAnswer } from "../lib/api";
import { time } from "../lib/clock.svelte";
import { dangerOf, isComing, type Danger } from "../lib/danger";
import { L } from "../lib/lang.svelte";
import { Live } from "../lib/live.svelte";
import { nextOrder } from "../lib/order";
import { reversePlace } from "../lib/places";
import { loadRegion } from "../lib/region";
import { play } from "../lib/sound";
import type { Account, Assignment, Entry, Incident, Place, Recommendation, Region, Report, Unit } from "../lib/types";
import type { Order } from "./commandline";
import { makeReplay, type Replay, type Tracks } from "./replay";
import { remedyText, rungName, type Remedy } from "./warnings";
import { capabilityName, kindName, shortId } from "./words";

export interface Row {
  incident: Incident;
  danger: Danger;
  active: Assignment[];
}

export interface Toast {
  id: number;
  text: string;
  tone: "plain" | "bad" | "good";
  undo?: () => void;
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

export type Sheet = "find" | "log" | "handover";

interface Past {
  incident: Incident;
  assignments: Assignment[];
  reports: Report[];
}

/** The one thing to do next about an incident. */
export interface Next {
  kind: "confirm" | "send" | "faster" | "merge" | "radio" | "close";
  label: string;
  why: string;
  go: () => void;
}

const TOAST_MS = 9000;
/** Longest wait for rows a command's answer speaks of: they normally come within 0.3 s. */
const ROWS_WAIT_MS = 1000;
/** A new row keeps its mark this long, or until it is opened. */
const NEW_MARK_MS = 40_000;
/** Look-ups of place names under way at once: names are worth less than everything else on the line. */
const NAMING_MAX = 3;
const OPEN = new Set(["waiting", "dispatched", "on_scene"]);
/** Ring again this often while something waits for a person. */
const REPEAT_MS = 6000;

export class Desk {
  live = new Live("/api/v1/console/stream");
  account: Account;
  region = $state.raw<Region | null>(null);
  selected = $state<string | null>(null);
  selectedUnit = $state<string | null>(null);
  calls = $state<Call | null>(null);
  ask = $state.raw<Ask | null>(null);
  toasts = $state.raw<Toast[]>([]);
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
  silenced = $state.raw(new Set<string>());
  order = $state.raw<string[]>([]);
  /** Place being reported in the call form; the map shows it and the detail of nothing else. */
  pin = $state.raw<{ lon: number; lat: number } | null>(null);
  /** Set by the map when an operator picks a place for the call form. */
  pickPlace = $state.raw<((at: { lon: number; lat: number }) => void) | null>(null);

  #born = new Map<string, number>();
  #firstSeen = false;
  #toastId = 0;
  #rung_ms = 0;
  #candidates = $state.raw(new Set<string>());

  constructor(account: Account) {
    this.account = account;
    this.live.onEntry = (entry) => this.#hear(entry);
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
        if (a && !a.ended_at && !["cleared", "declined", "unanswered", "withdrawn"].includes(a.state)) active.push(a);
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

  /** Every known line about an incident, oldest first. */
  entriesOf(incident: Incident): Entry[] {
    void this.live.rev;
    const bySeq = new Map<number, Entry>();
    if (this.history?.id === incident.incident_id) for (const e of this.history.entries) bySeq.set(e.seq, e);
    for (const id of [incident.incident_id, ...incident.report_ids, ...incident.assignment_ids])
      for (const e of this.live.entries.get(id) ?? []) bySeq.set(e.seq, e);
    return [...bySeq.values()].sort((a, b) => a.seq - b.seq);
  }

  /** Open an incident of any age, from a list outside the queue. */
  open(id: string): void {
    this.sheet = null;
    this.calls = null;
    this.select(id);
  }

  async play(id: string): Promise<void> {
    try {
      const path = `/api/v1/incidents/${encodeURIComponent(id)}`;
      const [row, tracks] = await Promise.all([get<Past & { timeline: Entry[] }>(path), get<Tracks>(`${path}/tracks`)]);
      this.open(id);
      this.replay = makeReplay(row.incident, row.assignments, row.timeline, tracks);
    } catch (error) {
      this.refuse(error);
    }
  }

  picksOf(incident: Incident): Recommendation[] {
    return incident.recommended ?? [];
  }

  nextOf(row: Row): Next | null {
    const { incident, active, danger } = row;
    const id = incident.incident_id;
    const twin = Object.entries(incident.like ?? {}).sort((a, b) => b[1] - a[1])[0];
    const twinOpen = twin && this.live.world.incidents.get(twin[0]);
    if (twin && twinOpen && OPEN.has(twinOpen.state) && active.length === 0)
      return {
        kind: "merge",
        label: L(`Gabungkan ke ${shortId(twin[0])}`, `Merge into ${shortId(twin[0])}`),
        why: L(
          `${Math.round(twin[1] * 100)} % mirip; bantuan sudah menuju ke sana`,
          `${Math.round(twin[1] * 100)} % alike; help already goes there`,
        ),
        go: () => void this.merge(id, twin[0]),
      };
    const pick = this.picksOf(incident).find((p) => p.chosen);
    const chosen = pick?.chosen ?? null;
    const eta = pick && chosen ? pick.candidates.eta_s[pick.candidates.unit_ids.indexOf(chosen)] : null;
    const minutes =
      eta == null
        ? ""
        : L(`, tiba ±${Math.max(1, Math.round(eta / 60))} mnt`, `, ±${Math.max(1, Math.round(eta / 60))} min`);
    if (incident.confirmed === false)
      return {
        kind: "confirm",
        label: chosen ? L(`Kirim ${chosen}`, `Send ${chosen}`) : L("Kirim sesuai rencana", "Send as planned"),
        why: L("Rencana ini menunggu persetujuan", "This plan waits for your yes") + minutes,
        go: () => void this.confirm(id),
      };
    const free = (unit: string | null) => unit !== null && this.live.world.units.get(unit)?.state === "available";
    if ((incident.unfilled?.length ?? 0) > 0 || (incident.state === "waiting" && active.length === 0)) {
      const best = pick?.candidates.unit_ids.find((u) => free(u));
      if (best)
        return {
          kind: "send",
          label: L(`Kirim ${best}`, `Send ${best}`),
          why: L("Belum ada unit menuju", "Nobody is on the way") + minutes,
          go: () => void this.send(id, best),
        };
    }
    const remedy = this.remediesOf(incident).find((r) => !r.leaves && free(r.unit_id ?? null));
    if (danger.arrived_s === null && danger.tone !== "calm" && remedy)
      return {
        kind: "faster",
        label: L(`Kirim juga ${remedy.unit_id}`, `Also send ${remedy.unit_id}`),
        why: remedyText(remedy, this.region),
        go: () => void this.help(id, remedy),
      };
    const mute = active.find((a) => a.state === "alerted" && (a.alerts ?? 1) > 1);
    if (mute)
      return {
        kind: "radio",
        label: L(`${mute.unit_id} menjawab lewat radio`, `${mute.unit_id} answers by radio`),
        why: L("HP tidak menjawab: panggil lewat HT", "The phone does not answer: call by radio"),
        go: () =>
          void this.crew(
            "acknowledge_job",
            mute,
            L(`${mute.unit_id} dicatat menerima`, `${mute.unit_id} noted as accepted`),
          ),
      };
    if (incident.state === "on_scene" && active.length === 0)
      return {
        kind: "close",
        label: L("Tutup kejadian", "Close incident"),
        why: L("Semua unit sudah selesai", "All units are clear"),
        go: () => void this.close(id),
      };
    return null;
  }

  // --- doing

  say(text: string, tone: Toast["tone"] = "plain", undo?: () => void): void {
    const toast: Toast = { id: ++this.#toastId, text, tone, undo };
    this.toasts = [...this.toasts.slice(-3), toast];
    setTimeout(() => this.dismiss(toast.id), TOAST_MS);
  }
  dismiss(id: number): void {
    this.toasts = this.toasts.filter((t) => t.id !== id);
  }
  undoLast(): void {
    const toast = [...this.toasts].reverse().find((t) => t.undo);
    if (!toast) return this.say(L("Tidak ada yang bisa diurungkan", "Nothing to undo"));
    this.dismiss(toast.id);
    toast.undo?.();
  }

  /** Give a command; a refusal becomes a sentence on the screen, never a silence. */
  async run(
    verb: string,
    body: Record<string, unknown>,
    done: string | null,
    undo?: (answer: CommandAnswer) => void,
    key?: string,
  ): Promise<CommandAnswer | null> {
    try {
      const answer = await command(verb, body, key);
      if (done) this.say(done, "good", undo && (() => undo(answer)));
      if (this.selected && this.history?.id === this.selected && body.incident_id === this.selected)
        void this.loadHistory(this.selected);
      return answer;
    } catch (error) {
      this.refuse(error, typeof body.incident_id === "string" ? body.incident_id : null);
      return null;
    }
  }

  refuse(error: unknown, incident_id: string | null = null): void {
    if (!(error instanceof Problem)) throw error;
    if (error.code === "changed_meanwhile" && incident_id) {
      const last = (this.live.entries.get(incident_id) ?? []).at(-1);
      const who = last
        ? typeof last.actor === "string"
          ? last.actor
          : last.actor.name
        : L("orang lain", "somebody else");
      this.say(
        L(
          `Sudah diubah oleh ${who}. Lihat perubahan di linimasa, lalu ulangi.`,
          `Changed by ${who} meanwhile. See the timeline, then try again.`,
        ),
        "bad",
      );
      void this.loadHistory(incident_id);
    } else if (error.status === 401) this.live.onForbidden();
    else if (error.code === "forbidden")
      this.say(L("Peran Anda tidak boleh melakukan ini", "Your role may not do this"), "bad");
    else this.say(error.title, "bad");
  }

  reason(title: string, presets: string[], confirm: string, hint = "", minimum = 3): Promise<string | null> {
    this.ask?.resolve(null);
    return new Promise((resolve) => {
      this.ask = {
        title,
        presets,
        confirm,
        hint,
        minimum,
        resolve: (text) => {
          this.ask = null;
          resolve(text);
        },
      };
    });
  }

  async confirm(id: string): Promise<void> {
    const answer = await this.run("confirm_plan", { incident_id: id }, null);
    if (!answer) return;
    const sent = answer.assignment_ids;
    const names = (await this.unitsOf(sent)).join(", ");
    this.say(
      names ? L(`Dikirim: ${names}`, `Sent: ${names}`) : L("Rencana disetujui", "Plan confirmed"),
      "good",
      sent.length > 0 ? () => void this.takeBack(sent) : undefined,
    );
  }

  async send(id: string, unit_id: string, reason = ""): Promise<void> {
    const version = this.live.world.incidents.get(id)?.version;
    await this.run(
      "assign_unit",
      { incident_id: id, unit_id, reason, version },
      L(`${unit_id} dikirim ke ${shortId(id)}`, `${unit_id} sent to ${shortId(id)}`),
      (answer) => void this.takeBack(answer.assignment_ids.slice(0, 1)),
    );
  }

  /** What would still help, as the last warning of this incident said it. */
  remediesOf(incident: Incident): Remedy[] {
    const warning = this.entriesOf(incident)
      .filter((e) => e.event.kind === "response_at_risk")
      .at(-1);
    return (warning?.event.remedies as Remedy[] | undefined) ?? [];
  }

  /** Send what a warning names; the reason says so, because it was not the recommendation. */
  async help(id: string, remedy: Remedy): Promise<void> {
    if (remedy.unit_id) await this.send(id, remedy.unit_id, L("Peringatan terlambat", "Warned of being late"));
  }

  /** Take a warning on: the ladder stops, and so does the sound for everybody. */
  async takeOn(id: string): Promise<void> {
    const done = L(`Peringatan ${shortId(id)} Anda tangani`, `You take on the warning of ${shortId(id)}`);
    await this.run("acknowledge_warning", { incident_id: id }, done);
  }

  /** Send any unit: the recommended one at once, another with a reason. */
  async override(id: string, unit_id: string): Promise<void> {
    const incident = this.live.world.incidents.get(id);
    const chosen = incident ? this.picksOf(incident).some((p) => p.chosen === unit_id) : false;
    // A unit that is on its way elsewhere is diverted: that needs a reason even when it is the best.
    if (chosen && this.live.world.units.get(unit_id)?.state === "available") return this.send(id, unit_id);
    const reason = await this.reason(
      L(`Kirim ${unit_id}, bukan yang disarankan`, `Send ${unit_id} instead`),
      [
        L("Posisinya sebenarnya lebih dekat", "It is really nearer"),
        L("Perlu alat atau keahliannya", "Its equipment or skill is needed"),
        L("Jalan ke lokasi tertutup untuk yang lain", "The road is closed for the other"),
        L("Awak menawarkan diri", "The crew offered"),
      ],
      L("Kirim", "Send"),
    );
    if (reason) await this.send(id, unit_id, reason);
  }

  /** Units of assignments just made. The stream carries the same rows as the answer, a moment earlier or later. */
  async unitsOf(assignments: string[]): Promise<string[]> {
    const rows = () => assignments.map((id) => this.live.world.assignments.get(id)?.unit_id);
    for (let waited = 0; waited < ROWS_WAIT_MS && rows().includes(undefined); waited += 50)
      await new Promise((again) => setTimeout(again, 50));
    return rows().map((unit) => unit ?? L("satu unit", "one unit"));
  }

  /** A unit was dragged onto an incident. */
  link(unit_id: string, incident_id: string): void {
    this.calls = null;
    this.select(incident_id);
    void this.override(incident_id, unit_id);
  }

  async takeBack(assignments: string[]): Promise<void> {
    for (const assignment_id of assignments)
      await this.run(
        "withdraw_unit",
        { assignment_id, reason: L("Diurungkan operator", "Undone by operator") },
        L("Pengiriman diurungkan", "Sending undone"),
      );
  }

  async withdraw(a: Assignment): Promise<void> {
    const reason = await this.reason(
      L(`Tarik ${a.unit_id}`, `Stand ${a.unit_id} down`),
      [
        L("Sudah cukup unit", "Enough units there"),
        L("Dibutuhkan kejadian lain", "Needed elsewhere"),
        L("Laporan ternyata salah", "The report was wrong"),
      ],
      L("Tarik", "Stand down"),
    );
    if (reason)
      await this.run(
        "withdraw_unit",
        { assignment_id: a.assignment_id, reason },
        L(`${a.unit_id} ditarik`, `${a.unit_id} stood down`),
        () => void this.send(a.incident_id, a.unit_id, L("Penarikan diurungkan", "Stand-down undone")),
      );
  }

  async merge(id: string, into: string): Promise<void> {
    await this.run(
      "merge_incident",
      { incident_id: id, into },
      L(`${shortId(id)} digabung ke ${shortId(into)}`, `${shortId(id)} merged into ${shortId(into)}`),
      () =>
        void this.run("unmerge_incident", { incident_id: id }, L("Penggabungan dibatalkan", "Merge undone")).then(() =>
          this.select(id),
        ),
    );
    if (this.selected === id) this.select(into);
  }

  async close(id: string): Promise<void> {
    const outcome = await this.reason(
      L(`Tutup kejadian ${shortId(id)}`, `Close incident ${shortId(id)}`),
      [
        L("Selesai ditangani di tempat", "Handled at the scene"),
        L("Pasien dibawa ke rumah sakit", "Patient taken to hospital"),
        L("Diserahkan ke dinas terkait", "Handed to the agency in charge"),
        L("Tidak ditemukan di lokasi", "Nothing found at the scene"),
      ],
      L("Tutup", "Close"),
    );
    if (outcome)
      await this.run(
        "close_incident",
        { incident_id: id, outcome },
        L(`${shortId(id)} ditutup`, `${shortId(id)} closed`),
        () => void this.reopen(id, L("Penutupan diurungkan", "Closing undone")),
      );
  }

  async cancel(id: string): Promise<void> {
    const reason = await this.reason(
      L(`Batalkan kejadian ${shortId(id)}`, `Cancel incident ${shortId(id)}`),
      [
        L("Pelapor membatalkan, sudah aman", "Caller cancelled, all safe"),
        L("Laporan palsu", "Prank"),
        L("Bukan keadaan darurat", "Not an emergency"),
      ],
      L("Batalkan kejadian", "Cancel incident"),
    );
    if (reason)
      await this.run(
        "cancel_incident",
        { incident_id: id, reason },
        L(`${shortId(id)} dibatalkan`, `${shortId(id)} cancelled`),
        () => void this.reopen(id, L("Pembatalan diurungkan", "Cancelling undone")),
      );
  }

  async reopen(id: string, reason: string): Promise<void> {
    await this.run(
      "reopen_incident",
      { incident_id: id, reason },
      L(`${shortId(id)} dibuka lagi`, `${shortId(id)} reopened`),
    );
  }

  async raise(id: string): Promise<void> {
    const reason = await this.reason(
      L("Naikkan tingkat alarm", "Raise the alarm level"),
      [
        L("Api membesar", "Fire is growing"),
        L("Korban lebih banyak", "More casualties"),
        L("Diminta komandan di lokasi", "Asked by command at scene"),
      ],
      L("Naikkan", "Raise"),
    );
    if (reason)
      await this.run("raise_alarm", { incident_id: id, reason }, L("Tingkat alarm dinaikkan", "Alarm level raised"));
  }

  async regrade(id: string, change: { kind?: string; priority?: number }): Promise<void> {
    const incident = this.live.world.incidents.get(id);
    const reason = await this.reason(
      change.kind
        ? L(
            `Ubah jenis menjadi ${kindName(this.region, change.kind)}`,
            `Change kind to ${kindName(this.region, change.kind)}`,
          )
        : L(`Ubah menjadi P${change.priority}`, `Change to P${change.priority}`),
      [
        L("Keterangan baru dari pelapor", "New facts from the caller"),
        L("Penilaian awak di lokasi", "Crew's assessment at scene"),
        L("Salah catat", "Wrongly noted"),
      ],
      L("Ubah", "Change"),
    );
    if (reason)
      await this.run(
        "regrade_incident",
        { incident_id: id, reason, version: incident?.version, ...change },
        L("Diubah", "Changed"),
      );
  }

  async relocate(id: string, at: { lon: number; lat: number }, address: string): Promise<void> {
    const incident = this.live.world.incidents.get(id);
    const before = incident?.place;
    await this.run(
      "relocate_incident",
      {
        incident_id: id,
        place: { lon: at.lon, lat: at.lat, source: "operator", address },
        reason: L("Dipindah di peta", "Moved on the map"),
        version: incident?.version,
      },
      L(`${shortId(id)} dipindah`, `${shortId(id)} moved`),
      before &&
        (() =>
          void this.run(
            "relocate_incident",
            { incident_id: id, place: before, reason: L("Pemindahan diurungkan", "Move undone") },
            L("Dikembalikan", "Put back"),
          )),
    );
  }

  async crew(verb: string, a: Assignment, done: string): Promise<void> {
    const body: Record<string, unknown> = { assignment_id: a.assignment_id };
    if (verb === "report_at_scene") body.by = "dispatcher";
    await this.run(verb, body, done);
  }

  async answer(report: Report): Promise<void> {
    this.silence(`ring:${report.report_id}`);
    const mine = report.state === "answered" && report.answered_by === this.account.username;
    if (!mine && report.state !== "submitted") {
      const answer = await this.run("answer_report", { report_id: report.report_id }, null);
      if (!answer) return;
    }
    this.calls = { report_id: report.report_id };
  }

  answerOldest(): void {
    const first = this.ringing[0] ?? this.abandoned[0];
    if (first) void this.answer(first);
    else this.say(L("Tidak ada telepon yang berdering", "No call is ringing"));
  }

  async setUnit(unit: Unit, to: "available" | "out_of_service" | "off_duty", given = ""): Promise<void> {
    const id = unit.unit_id;
    if (to === "off_duty")
      return void (await this.run(
        "end_duty",
        { unit_id: id },
        L(`${id} lepas tugas`, `${id} off duty`),
        () =>
          void this.run(
            "start_duty",
            { unit_id: id, crew: unit.crew },
            L(`${id} bertugas lagi`, `${id} on duty again`),
          ),
      ));
    if (to === "available") {
      const verb = unit.state === "off_duty" ? "start_duty" : "return_to_service";
      return void (await this.run(
        verb,
        verb === "start_duty" ? { unit_id: id, crew: unit.crew } : { unit_id: id },
        L(`${id} siap`, `${id} available`),
      ));
    }
    const reason =
      given.length >= 3
        ? given
        : await this.reason(
            L(`${id} tidak siap`, `${id} out of service`),
            [
              L("Kendaraan rusak", "Vehicle breakdown"),
              L("Isi bahan bakar", "Refuelling"),
              L("Pembersihan", "Cleaning"),
              L("Istirahat awak", "Crew break"),
            ],
            L("Catat", "Note"),
          );
    if (reason)
      await this.run(
        "take_out_of_service",
        { unit_id: id, reason },
        L(`${id} tidak siap`, `${id} out of service`),
        () => void this.run("return_to_service", { unit_id: id }, L(`${id} siap`, `${id} available`)),
      );
  }

  async obey(order: Order): Promise<void> {
    const unit = "unit" in order ? this.live.world.units.get(order.unit) : undefined;
    switch (order.do) {
      case "send":
        this.select(order.incident);
        await this.loadHistory(order.incident);
        return this.override(order.incident, order.unit);
      case "withdraw": {
        const a = unit?.assignment_id ? this.live.world.assignments.get(unit.assignment_id) : undefined;
        if (!a || !isComing(a))
          return this.say(L(`${order.unit} tidak sedang menuju lokasi`, `${order.unit} is not on its way`), "bad");
        return this.withdraw(a);
      }
      case "state":
        return unit ? this.setUnit(unit, order.to, order.reason) : undefined;
      case "move":
        return void (await this.run(
          "order_move",
          { unit_id: order.unit, post: order.post, reason: "" },
          L(
            `${order.unit} digeser ke ${this.region?.posts[order.post]?.name ?? order.post}`,
            `${order.unit} moves to ${this.region?.posts[order.post]?.name ?? order.post}`,
          ),
        ));
      case "close":
        return this.close(order.incident);
      case "cancel":
        return this.cancel(order.incident);
      case "reopen":
        return this.reopen(order.incident, L("Dibuka lagi oleh operator", "Reopened by operator"));
      case "merge":
        return this.merge(order.incident, order.into);
      case "note":
        return void (await this.run(
          "note_incident",
          { incident_id: order.incident, text: order.text },
          L("Dicatat", "Noted"),
        ));
      case "alarm":
        return this.raise(order.incident);
      case "open":
        return this.select(order.incident);
      case "replay":
        return this.play(order.incident);
      case "print":
        this.select(order.incident);
        await this.loadHistory(order.incident);
        return print();
      case "find":
        this.filter = order.text;
        return;
      case "past":
        this.sheetSeed = order.text;
        this.sheet = "find";
        return;
      case "log":
      case "handover":
        this.sheet = order.do;
        return;
      case "roads":
        this.hindrancesOpen = true;
        return;
      case "new":
        this.calls = { report_id: null };
        return;
      case "answer":
        return this.answerOldest();
      case "undo":
        return this.undoLast();
    }
  }

  // --- attention

  /** What asks for a person now, most urgent first. */
  alarms = $derived.by(() => {
    void time.now_ms;
    const list: { key: string; cue: "call" | "unanswered" | "risk" | "noack"; text: string }[] = [];
    const due = this.region?.limits.answer_due_s ?? 10;
    for (const r of this.ringing) {
      const waited = (time.now_ms - Date.parse(r.rang_at)) / 1000;
      list.push({
        key: `ring:${r.report_id}`,
        cue: waited > due ? "unanswered" : "call",
        text: L("Telepon berdering", "Phone rings"),
      });
    }
    for (const { incident, danger } of this.rows.values()) {
      if (incident.priority !== 1 || danger.arrived_s !== null) continue;
      const n = shortId(incident.incident_id);
      if (incident.warned_at && !incident.warning_acked_at && danger.elapsed_s < this.target_s + 60) {
        const level = incident.warning_level ?? 1;
        list.push({
          // a new rung sounds again, for whoever has hushed the one below
          key: `risk:${incident.incident_id}:${level}`,
          cue: "risk",
          text:
            level > 1
              ? L(
                  `${n} terancam terlambat, belum ditangani (${rungName(level)})`,
                  `${n} at risk, nobody has taken it on (${rungName(level)})`,
                )
              : L(`${n} terancam terlambat`, `${n} at risk`),
        });
      }
    }
    for (const key of this.#candidates)
      list.push({
        key,
        cue: "noack",
        text: L(`${key.split(":")[2] ?? ""} tidak menjawab`, `${key.split(":")[2] ?? ""} does not answer`),
      });
    return list.filter((a) => !this.silenced.has(a.key));
  });

  silence(key?: string): void {
    const next = new Set(this.silenced);
    if (key) next.add(key);
    else for (const a of this.alarms) next.add(a.key);
    // Keys of what is long over must not pile up over a shift.
    this.silenced = next.size > 500 ? new Set([...next].slice(-250)) : next;
  }

  /** Called every second: sound what is not yet acknowledged, now and again. */
  ring(): void {
    const first = this.alarms[0];
    if (!first || !this.live.ready) return;
    const every = first.cue === "call" || first.cue === "unanswered" ? REPEAT_MS / 2 : REPEAT_MS;
    if (Date.now() - this.#rung_ms < every) return;
    this.#rung_ms = Date.now();
    play(first.cue);
  }

  #hear(entry: Entry): void {
    const e = entry.event;
    if (e.kind === "voice_task_raised") {
      this.#candidates = new Set([
        ...[...this.#candidates].slice(-20),
        `noack:${String(e.assignment_id)}:${String(e.unit_id)}`,
      ]);
      this.say(
        L(
          `${String(e.unit_id)} tidak menjawab HP: panggil lewat radio`,
          `${String(e.unit_id)} does not answer: use the radio`,
        ),
        "bad",
      );
    }
    if (["job_acknowledged", "unit_en_route", "unit_withdrawn"].includes(e.kind)) {
      const gone = [...this.#candidates].filter((k) => !k.startsWith(`noack:${String(e.assignment_id)}:`));
      if (gone.length !== this.#candidates.size) this.#candidates = new Set(gone);
    }
    if (e.kind === "handed_over" && typeof entry.actor !== "string" && entry.actor.name !== this.account.username)
      this.say(
        L(
          `Serah terima baru dari ${entry.actor.name}: F9 untuk membaca`,
          `New handover note from ${entry.actor.name}: F9 to read`,
        ),
      );
    if (e.kind === "plan_short" && Array.isArray(e.missing)) {
      const n = shortId(String(e.incident_id));
      if (!this.silenced.has(`short:${n}`)) {
        this.silence(`short:${n}`);
        this.say(
          L(
            `${n}: belum ada ${e.missing.map((c) => capabilityName(String(c), this.region)).join(", ")}`,
            `${n}: no ${e.missing.map((c) => capabilityName(String(c), this.region)).join(", ")} yet`,
          ),
          "bad",
        );
      }
    }
  }

  /** Reads a caller's number; the server writes down who read it and why. */
  caller(report_id: string, purpose: string): Promise<{ phone?: string | null; name?: string | null }> {
    return call(
      "GET",
      `/api/v1/reports/${encodeURIComponent(report_id)}/caller?purpose=${encodeURIComponent(purpose)}`,
    );
  }
}
