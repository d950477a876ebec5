/** What one operator can do about incidents and calls: every command with its undo. */
import { call, command, get, Problem } from "../lib/api";
import { isComing } from "../lib/danger";
import { L } from "../lib/lang.svelte";
import { reversePlace } from "../lib/places";
import type { Assignment, Entry, Incident, Place, Report } from "../lib/types";
import { Fleet } from "./fleet.svelte";
import { OPEN, type Past, type Pointed } from "./glance.svelte";
import { makeReplay, type Tracks } from "./replay";
import type { Seen } from "./difference";
import type { Remedy } from "./warnings";
import { kindName, shortId } from "./words";

export class Deeds extends Fleet {
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
    await this.until(() => !rows().includes(undefined));
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

  async relocate(
    id: string,
    place: Place,
    reason = L("Dipindah di peta", "Moved on the map"),
    seen: Seen | null = this.glimpse(id),
  ): Promise<void> {
    const before = seen?.incident.place;
    await this.run(
      "relocate_incident",
      { incident_id: id, place, reason },
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

  /** The incident goes where its reporter has pointed since. */
  async follow(id: string): Promise<void> {
    const seen = this.glimpse(id);
    const pointed = seen && this.pointed(seen.incident);
    if (!pointed) return this.say(L("Pelapor tidak menunjuk tempat lain", "The caller points nowhere else"));
    const address = pointed.place.address || (await reversePlace(pointed.place));
    await this.relocate(id, { ...pointed.place, address }, L("Ditunjuk pelapor", "Pointed at by the caller"), seen);
  }

  leave(pointed: Pointed): void {
    this.leftAlone = new Set([...this.leftAlone, pointed.seq]);
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
