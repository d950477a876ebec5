/** What one operator can do: every command, its undo, and what is said when it is refused. */
import { call, command, get, Problem, type CommandAnswer } from "../lib/api";
import { isComing } from "../lib/danger";
import { L } from "../lib/lang.svelte";
import { wallTime } from "../lib/time";
import type { Assignment, Entry, Incident, Report, Unit } from "../lib/types";
import { differences, type Difference, type Seen } from "./difference";
import { Glance, OPEN, type Past } from "./glance.svelte";
import { makeReplay, type Tracks } from "./replay";
import { Said, type Toast } from "./said.svelte";
import { actorName } from "./timeline";
import type { Remedy } from "./warnings";
import { differenceWords, kindName, shortId } from "./words";

/** Something was decided on an incident that somebody has changed meanwhile. */
export interface Conflict {
  incident_id: string;
  by: string;
  at: string | null;
  rows: Difference[];
  /** Do it all the same, knowing this. */
  go: () => void;
  leave: () => void;
}

/** Longest wait for rows a command's answer speaks of: they normally come within 0.3 s. */
const ROWS_WAIT_MS = 1000;
/** Tries on a state that keeps moving in ways nobody needs to look at; after that a person looks. */
const RETRIES_MAX = 3;

export class Deeds extends Glance {
  said = new Said();
  conflict = $state.raw<Conflict | null>(null);

  say(text: string, tone: Toast["tone"] = "plain", undo?: () => void, act?: Toast["act"]): void {
    this.said.say(text, tone, undo, act);
  }

  /**
   * Give a command; a refusal becomes a sentence on the screen, never a silence. `seen` is the incident as it was when the
   * operator began to decide: the server refuses what was decided on an older one, and the difference is shown. `done` may
   * wait for rows the answer speaks of.
   */
  async run(
    verb: string,
    body: Record<string, unknown>,
    done: string | null | ((answer: CommandAnswer) => Promise<string>),
    undo?: (answer: CommandAnswer) => void,
    seen?: Seen | null,
    again: { key: string; tries: number } = { key: crypto.randomUUID(), tries: 0 },
  ): Promise<CommandAnswer | null> {
    const pending = this.said.begin(undo !== undefined);
    try {
      const sent = seen ? { ...body, version: seen.incident.version } : body;
      const answer = await command(verb, sent, again.key);
      if (pending.unwanted) undo?.(answer);
      else if (done) {
        const text = typeof done === "string" ? done : await done(answer);
        this.say(text, "good", undo && (() => undo(answer)));
      }
      if (this.selected && this.history?.id === this.selected && body.incident_id === this.selected)
        void this.loadHistory(this.selected);
      return answer;
    } catch (error) {
      if (error instanceof Problem && error.code === "changed_meanwhile" && seen)
        return await this.#collide(error, verb, body, done, undo, seen, again.tries);
      if (error instanceof Problem && error.unreachable)
        // The same key: should it have arrived after all, the first answer comes again and nothing is done twice.
        this.say(
          L("Server tidak menjawab; belum pasti terkirim.", "The server does not answer; perhaps not sent."),
          "bad",
          undefined,
          {
            label: L("Kirim lagi", "Send again"),
            go: () => void this.run(verb, body, done, undo, seen, again),
          },
        );
      else this.refuse(error);
      return null;
    } finally {
      this.said.end(pending);
    }
  }

  /** The incident is not as it was: show what is different and let the operator decide again. */
  async #collide(
    error: Problem,
    verb: string,
    body: Record<string, unknown>,
    done: string | null | ((answer: CommandAnswer) => Promise<string>),
    undo: ((answer: CommandAnswer) => void) | undefined,
    seen: Seen,
    tries: number,
  ): Promise<CommandAnswer | null> {
    const id = seen.incident.incident_id;
    const version = Number((error.detail as { now?: number } | null)?.now ?? 0);
    await this.#until(() => (this.live.world.incidents.get(id)?.version ?? 0) >= version);
    const now = this.glimpse(id);
    if (!now) return (this.refuse(error), null);
    const rows = differences(
      seen,
      now,
      differenceWords(this.region, (i) => this.placeName(i.place)),
    );
    const lines = (this.live.entries.get(id) ?? []).filter((e) => e.seq > seen.seq);
    const others = lines.filter((e) => actorName(e.actor) !== this.account.username);
    const again = () => this.run(verb, body, done, undo, now, { key: crypto.randomUUID(), tries: tries + 1 });
    // Only the machine's own figures moved, or we did it ourselves a moment ago: nothing for a person to look at.
    if (tries < RETRIES_MAX && (rows.length === 0 || (lines.length > 0 && others.length === 0))) return again();
    const last = others.at(-1);
    return new Promise((resolve) => {
      this.conflict = {
        incident_id: id,
        by: last ? actorName(last.actor) : L("orang lain", "somebody else"),
        at: last?.at ?? null,
        rows,
        go: () => {
          this.conflict = null;
          void again().then(resolve);
        },
        leave: () => {
          this.conflict = null;
          resolve(null);
        },
      };
    });
  }

  /** Wait a moment for rows that an answer speaks of: the stream brings them a little earlier or later. */
  async #until(there: () => boolean): Promise<void> {
    for (let waited = 0; waited < ROWS_WAIT_MS && !there(); waited += 50)
      await new Promise((again) => setTimeout(again, 50));
  }

  refuse(error: unknown): void {
    if (!(error instanceof Problem)) throw error;
    if (error.status === 401) this.live.onForbidden();
    else if (error.code === "forbidden")
      this.say(L("Peran Anda tidak boleh melakukan ini", "Your role may not do this"), "bad");
    else if (error.code === "claimed") {
      const held = error.detail as { by?: string; until?: string } | null;
      const until = held?.until ? wallTime(Date.parse(held.until), this.region?.utc_offset_h ?? 7) : "";
      this.say(
        L(
          `Dipegang ${held?.by} sampai ${until}. Penyelia dapat mengambil alih.`,
          `Held by ${held?.by} until ${until}. A supervisor can take over.`,
        ),
        "bad",
      );
    } else this.say(error.title, "bad");
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
    await this.run(
      "confirm_plan",
      { incident_id: id },
      async (answer) => {
        const names = (await this.unitsOf(answer.assignment_ids)).join(", ");
        return names ? L(`Dikirim: ${names}`, `Sent: ${names}`) : L("Rencana disetujui", "Plan confirmed");
      },
      (answer) => void this.takeBack(answer.assignment_ids),
      this.glimpse(id),
    );
  }

  async send(id: string, unit_id: string, reason = "", seen: Seen | null = this.glimpse(id)): Promise<void> {
    const job = this.live.world.units.get(unit_id)?.assignment_id;
    const left = job ? this.live.world.assignments.get(job) : undefined;
    await this.run(
      "assign_unit",
      { incident_id: id, unit_id, reason },
      L(`${unit_id} dikirim ke ${shortId(id)}`, `${unit_id} sent to ${shortId(id)}`),
      (answer) => void (left ? this.turnBack(unit_id, id, left) : this.takeBack(answer.assignment_ids.slice(0, 1))),
      seen,
    );
  }

  /** Undo of a diversion: the unit goes back to the job it left, or the operator is told why it cannot. */
  async turnBack(unit_id: string, from: string, left: Assignment): Promise<void> {
    const id = left.incident_id;
    const back = this.live.world.incidents.get(id);
    const no = (why: string) =>
      this.say(
        L(`${unit_id} tetap ke ${shortId(from)}: ${why}`, `${unit_id} stays on ${shortId(from)}: ${why}`),
        "bad",
      );
    if (!back || !OPEN.has(back.state)) return no(L(`${shortId(id)} sudah selesai`, `${shortId(id)} has ended`));
    const job = this.live.world.units.get(unit_id)?.assignment_id;
    const now = job ? this.live.world.assignments.get(job) : undefined;
    if (now && now.incident_id !== id && !isComing(now))
      return no(L("unit sudah di lokasi", "the unit is at the scene"));
    try {
      // One command, as the diversion was: the unit is never free in between, and nobody else can be given it.
      const reason = L("Pengalihan diurungkan", "Diversion undone");
      await command("assign_unit", { incident_id: id, unit_id, reason });
      this.say(L(`${unit_id} kembali ke ${shortId(id)}`, `${unit_id} goes back to ${shortId(id)}`), "good");
    } catch (error) {
      if (error instanceof Problem) no(error.title);
      else throw error;
    }
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
    const seen = this.glimpse(id);
    const chosen = seen ? this.picksOf(seen.incident).some((p) => p.chosen === unit_id) : false;
    // A unit that is on its way elsewhere is diverted: that needs a reason even when it is the best.
    if (chosen && this.live.world.units.get(unit_id)?.state === "available") return this.send(id, unit_id, "", seen);
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
    if (reason) await this.send(id, unit_id, reason, seen);
  }

  /** Units of assignments just made. The stream carries the same rows as the answer, a moment earlier or later. */
  async unitsOf(assignments: string[]): Promise<string[]> {
    const rows = () => assignments.map((id) => this.live.world.assignments.get(id)?.unit_id);
    await this.#until(() => !rows().includes(undefined));
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
      this.glimpse(id),
    );
    if (this.selected === id) this.select(into);
  }

  async close(id: string): Promise<void> {
    const seen = this.glimpse(id);
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
        seen,
      );
  }

  async cancel(id: string): Promise<void> {
    const seen = this.glimpse(id);
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
        seen,
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
    const seen = this.glimpse(id);
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
      await this.run(
        "raise_alarm",
        { incident_id: id, reason },
        L("Tingkat alarm dinaikkan", "Alarm level raised"),
        undefined,
        seen,
      );
  }

  async regrade(id: string, change: { kind?: string; priority?: number }): Promise<void> {
    const seen = this.glimpse(id);
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
        { incident_id: id, reason, ...change },
        L("Diubah", "Changed"),
        seen
          ? () =>
              void this.run(
                "regrade_incident",
                {
                  incident_id: id,
                  reason: L("Perubahan diurungkan", "Change undone"),
                  ...(change.kind ? { kind: seen.incident.kind } : {}),
                  priority: seen.incident.priority,
                },
                L("Dikembalikan", "Put back"),
              )
          : undefined,
        seen,
      );
  }

  async relocate(id: string, at: { lon: number; lat: number }, address: string): Promise<void> {
    const seen = this.glimpse(id);
    const before = seen?.incident.place;
    await this.run(
      "relocate_incident",
      {
        incident_id: id,
        place: { lon: at.lon, lat: at.lat, source: "operator", address },
        reason: L("Dipindah di peta", "Moved on the map"),
      },
      L(`${shortId(id)} dipindah`, `${shortId(id)} moved`),
      before &&
        (() =>
          void this.run(
            "relocate_incident",
            { incident_id: id, place: before, reason: L("Pemindahan diurungkan", "Move undone") },
            L("Dikembalikan", "Put back"),
          )),
      seen,
    );
  }

  async crew(verb: string, a: Assignment, done: string): Promise<void> {
    const body: Record<string, unknown> = { assignment_id: a.assignment_id };
    if (verb === "report_at_scene") body.by = "dispatcher";
    await this.run(verb, body, done);
  }

  async answer(report: Report): Promise<void> {
    this.attention.silence(`ring:${report.report_id}`);
    this.attention.silence(`due:${report.report_id}`);
    const mine = report.state === "answered" && report.answered_by === this.account.username;
    if (!mine && report.state !== "submitted") {
      const taken = report.state === "answered" ? report.answered_by : null;
      const answer = await this.run("answer_report", { report_id: report.report_id }, null);
      if (!answer) return;
      if (taken) this.say(L(`Diambil alih dari ${taken}`, `Taken over from ${taken}`), "good");
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

  /** Reads a caller's number; the server writes down who read it and why. */
  caller(report_id: string, purpose: string): Promise<{ phone?: string | null; name?: string | null }> {
    return call(
      "GET",
      `/api/v1/reports/${encodeURIComponent(report_id)}/caller?purpose=${encodeURIComponent(purpose)}`,
    );
  }
}
