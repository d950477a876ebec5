/**
 * What asks for a person: alarms, which sound until somebody acknowledges them, and notices, which only stand there.
 *
 * Alarms come from the rows, so a reload or a second screen shows the same; notices come from the lines of the stream.
 */
import { time } from "../lib/clock.svelte";
import { L } from "../lib/lang.svelte";
import { play, type Cue } from "../lib/sound";
import type { Entry, Id, Incident } from "../lib/types";
import type { Glance, Sheet } from "./glance.svelte";
import { rungName } from "./warnings";
import { capabilityName, kindName, shortId } from "./words";

export interface Alarm {
  key: string;
  cue: Cue;
  text: string;
  /** Calls have their own list in the queue and are not repeated in the list of alarms. */
  call?: boolean;
  incident_id?: Id;
  unit_id?: Id;
}

export interface Notice {
  key: string;
  text: string;
  at: string;
  bad: boolean;
  incident_id?: Id;
  unit_id?: Id;
  /** Which of the shift's papers it is about. */
  sheet?: Sheet;
}

/** Sound again this often while something waits for a person; calls twice as often. */
const REPEAT_MS = 6000;
/** A warning that was not acknowledged is history this long after the target. */
const RISK_SHOWN_S = 60;
/** A new incident sounds this long unless somebody opens it. */
const NEW_S = 120;
const NOTICES_MAX = 30;
/** Keys of what is long over must not pile up over a shift. */
const SILENCED_MAX = 500;
/** Which sounds first when several things wait. */
const URGENCY: Cue[] = ["unanswered", "call", "silent", "risk", "noack", "new", "job"];
const MOVES = "moves";
/** Move-ups this close together are one burst. */
const MOVES_MS = 120_000;
/** Where an incident can come from without anybody in the room knowing. */
const OUTSIDE = new Set(["web", "app", "partner"]);

export class Attention {
  silenced = $state.raw(new Set<string>());
  notices = $state.raw<Notice[]>([]);
  #rung_ms = 0;
  #movedIds: Id[] = [];

  constructor(readonly desk: Glance) {}

  /** What asks for a person now, most urgent first. */
  alarms = $derived.by(() => {
    const list = [...this.#calls(), ...this.#silentCrews(), ...this.#unanswered(), ...this.#incidents()];
    return list
      .filter((a) => !this.silenced.has(a.key))
      .sort((a, b) => URGENCY.indexOf(a.cue) - URGENCY.indexOf(b.cue));
  });

  *#calls(): Generator<Alarm> {
    const due = this.desk.region?.limits.answer_due_s ?? 10;
    for (const r of this.desk.ringing) {
      const late = (time.now_ms - Date.parse(r.rang_at)) / 1000 > due;
      // A key of its own: a ring that was hushed sounds again, otherwise, when nobody has answered it.
      yield {
        key: `${late ? "due" : "ring"}:${r.report_id}`,
        cue: late ? "unanswered" : "call",
        text: late ? L("Telepon belum dijawab", "Call not answered") : L("Telepon berdering", "Phone rings"),
        call: true,
      };
    }
  }

  *#silentCrews(): Generator<Alarm> {
    for (const { active } of this.desk.rows.values())
      for (const a of active)
        if (a.silent_at)
          yield {
            key: `silent:${a.assignment_id}:${a.silent_at}`,
            cue: "silent",
            text: L(`${a.unit_id} tidak memberi kabar dari lokasi`, `${a.unit_id} gives no sign of life`),
            incident_id: a.incident_id,
            unit_id: a.unit_id,
          };
  }

  *#unanswered(): Generator<Alarm> {
    for (const { active } of this.desk.rows.values())
      for (const a of active)
        if (a.voice_task_at && a.state === "alerted")
          yield {
            key: `noack:${a.assignment_id}`,
            cue: "noack",
            text: L(`${a.unit_id} tidak menjawab: panggil lewat HT`, `${a.unit_id} does not answer: use the radio`),
            incident_id: a.incident_id,
            unit_id: a.unit_id,
          };
  }

  *#incidents(): Generator<Alarm> {
    for (const { incident, danger } of this.desk.rows.values()) {
      const id = incident.incident_id;
      const name = `${shortId(id)} ${kindName(this.desk.region, incident.kind)}`;
      if (
        incident.priority === 1 &&
        danger.arrived_s === null &&
        incident.warned_at &&
        !incident.warning_acked_at &&
        danger.elapsed_s < this.desk.target_s + RISK_SHOWN_S
      )
        yield {
          // A new rung of the ladder sounds again, for whoever has hushed the one below.
          key: `risk:${id}:${incident.warning_level ?? 1}`,
          cue: "risk",
          text:
            (incident.warning_level ?? 1) > 1
              ? L(
                  `${name} terancam terlambat, belum ditangani (${rungName(incident.warning_level ?? 1)})`,
                  `${name} at risk, nobody has taken it on (${rungName(incident.warning_level ?? 1)})`,
                )
              : L(`${name} terancam terlambat`, `${name} at risk`),
          incident_id: id,
        };
      else if (this.#isNew(incident))
        yield { key: `new:${id}`, cue: "new", text: L(`Baru: ${name}`, `New: ${name}`), incident_id: id };
    }
  }

  /** Nobody in the room has taken this report, or the plan waits for a yes. */
  #isNew(incident: Incident): boolean {
    if ((time.now_ms - Date.parse(incident.opened_at)) / 1000 > NEW_S) return false;
    if (incident.confirmed === false) return true;
    const first = this.desk.live.world.reports.get(incident.report_ids[0] ?? "");
    return first !== undefined && OUTSIDE.has(first.channel);
  }

  /** Alarms and notices that stand in the list, without the calls. */
  listed = $derived(this.alarms.filter((a) => !a.call));

  silence(key?: string): void {
    const next = new Set(this.silenced);
    if (key) next.add(key);
    else for (const a of this.alarms) next.add(a.key);
    this.silenced = next.size > SILENCED_MAX ? new Set([...next].slice(-SILENCED_MAX / 2)) : next;
  }

  /** Somebody looks at this incident: what it asked for is acknowledged, except a crew that may be in danger. */
  seen(incident_id: Id): void {
    for (const a of this.alarms) if (a.incident_id === incident_id && a.cue !== "silent") this.silence(a.key);
    if (this.notices.some((n) => n.incident_id === incident_id))
      this.notices = this.notices.filter((n) => n.incident_id !== incident_id);
  }

  put(notice: Notice): void {
    this.notices = [notice, ...this.notices.filter((n) => n.key !== notice.key)].slice(0, NOTICES_MAX);
  }

  drop(key: string): void {
    this.notices = this.notices.filter((n) => n.key !== key);
  }

  /** Called every second and with every message: sound what is not yet acknowledged, now and again. */
  ring(): void {
    const first = this.alarms[0];
    if (!first || !this.desk.live.ready) return;
    const every = first.call ? REPEAT_MS / 2 : REPEAT_MS;
    if (Date.now() - this.#rung_ms < every) return;
    this.#rung_ms = Date.now();
    play(first.cue);
  }

  /** A line of the stream that somebody may want to know of. */
  hear(entry: Entry): void {
    const e = entry.event;
    const actor = typeof entry.actor === "string" ? null : entry.actor;
    const unit = typeof e.unit_id === "string" ? e.unit_id : actor?.role === "crew" ? actor.name : "";
    const incident_id = typeof e.incident_id === "string" ? e.incident_id : undefined;
    const note = (text: string, bad = false) =>
      this.put({
        key: `${e.kind}:${incident_id ?? unit}`,
        text,
        at: entry.at,
        bad,
        incident_id,
        unit_id: unit || undefined,
      });
    const n = incident_id ? shortId(incident_id) : "";
    switch (e.kind) {
      case "photo_kept":
        return note(L(`${n}: foto dari ${unit}`, `${n}: picture from ${unit}`));
      case "report_located": {
        const report = this.desk.live.world.reports.get(String(e.report_id));
        const row = report?.incident_id ? this.desk.rows.get(report.incident_id) : undefined;
        if (!row) return;
        const id = row.incident.incident_id;
        return this.put({
          key: `${e.kind}:${id}`,
          text: L(`${shortId(id)}: pelapor memperbaiki lokasi`, `${shortId(id)}: the caller corrects the place`),
          at: entry.at,
          bad: true,
          incident_id: id,
        });
      }
      case "patients_counted":
        return note(L(`${n}: ${e.patients} korban, kata ${unit}`, `${n}: ${e.patients} hurt, says ${unit}`));
      case "incident_noted":
        if (actor?.role === "crew") note(L(`${n}: catatan ${unit}: ${e.text}`, `${n}: note of ${unit}: ${e.text}`));
        return;
      case "alarm_raised":
        if (actor?.role === "crew") note(L(`${n}: ${unit} minta bantuan`, `${n}: ${unit} asks for more`), true);
        return;
      case "job_declined":
        return note(L(`${n}: ${unit} menolak`, `${n}: ${unit} declined`), true);
      case "plan_short":
        if (Array.isArray(e.missing)) {
          const what = e.missing.map((c) => capabilityName(String(c), this.desk.region)).join(", ");
          note(L(`${n}: belum ada ${what}`, `${n}: no ${what} yet`), true);
        }
        return;
      case "duty_started":
        if (Array.isArray(e.faults) && e.faults.length > 0)
          note(
            L(
              `${unit} mulai tugas dengan kerusakan: ${e.faults.join(", ")}`,
              `${unit} on duty with faults: ${e.faults.join(", ")}`,
            ),
            true,
          );
        return;
      case "unit_out_of_service":
        if (actor?.role === "crew") note(L(`${unit} tidak siap: ${e.reason}`, `${unit} out: ${e.reason}`), true);
        return;
      case "handed_over":
        if (actor && actor.name !== this.desk.account.username)
          this.put({
            key: "handover",
            text: L(`Serah terima baru dari ${actor.name}`, `New handover note from ${actor.name}`),
            at: entry.at,
            bad: false,
            sheet: "handover",
          });
        return;
      case "move_ordered":
        if (actor?.role === "system") this.#moved(unit, String(e.post), e.gain, entry.at);
        return;
    }
  }

  /** Move-ups come in bursts and are the machine's own: one line for the latest of them, so that they hide nothing else. */
  #moved(unit_id: Id, post: string, gain: unknown, at: string): void {
    const name = this.desk.region?.posts[post]?.name ?? post;
    // The share of the city's demand that comes into reach; the policy's own estimate.
    const gained = typeof gain === "number" ? ` (±${(gain * 100).toFixed(1)} %)` : "";
    const before = this.notices.find((n) => n.key === MOVES);
    const others = (before && Date.parse(at) - Date.parse(before.at) < MOVES_MS ? this.#movedIds : []).filter(
      (id) => id !== unit_id,
    );
    this.#movedIds = [unit_id, ...others];
    const more =
      others.length > 0 ? L(`, juga ${others.slice(0, 3).join(", ")}`, `, also ${others.slice(0, 3).join(", ")}`) : "";
    const text = L(`${unit_id} digeser ke ${name}${gained}${more}`, `${unit_id} moves up to ${name}${gained}${more}`);
    this.put({ key: MOVES, text, at, bad: false, unit_id });
  }
}
