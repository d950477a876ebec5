/** One journal line in one short sentence, as a log book would have it. */
import { L, decimal } from "../lib/lang.svelte";
import { reasonText } from "../lib/reasons";
import { clock } from "../lib/time";
import type { Assignment, Entry, Region } from "../lib/types";
import { rungName } from "./warnings";
import { capabilityName, kindName, postName, shortId } from "./words";

export interface Line {
  seq: number;
  at: string;
  who: string;
  text: string;
  tone: "plain" | "note" | "risk" | "late" | "good";
}

const str = (v: unknown): string => (typeof v === "string" ? v : "");
const num = (v: unknown): number | null => (typeof v === "number" ? v : null);

export function actorName(actor: Entry["actor"]): string {
  const [role, name] = typeof actor === "string" ? actor.split(":", 2) : [actor.role, actor.name];
  return role === "system" ? L("otomatis", "automatic") : (name ?? "");
}

export function describe(entry: Entry, region: Region | null, unitOf: (assignment: string) => string): Line | null {
  const e = entry.event;
  const unit = str(e.unit_id) || unitOf(str(e.assignment_id));
  const line = (text: string, tone: Line["tone"] = "plain"): Line => ({
    seq: entry.seq,
    at: entry.at,
    who: actorName(entry.actor),
    text,
    tone,
  });
  const list = (v: unknown): string =>
    Array.isArray(v) ? v.map((c) => capabilityName(String(c), region)).join(", ") : "";
  const because = (reason: unknown) => (str(reason) ? `: ${reasonText(str(reason))}` : "");
  switch (e.kind) {
    case "call_presented":
      return line(L("Telepon 112 berdering", "112 rings"));
    case "report_answered":
      return line(L("Telepon dijawab", "Call answered"));
    case "call_abandoned":
      return line(L("Penelepon menutup sebelum dijawab", "Caller hung up"), "risk");
    case "report_submitted":
      return line(L("Laporan dicatat", "Report taken") + because(e.description));
    case "report_located":
      return line(L("Posisi pelapor diperbarui", "Caller's position updated"));
    case "report_attached":
      return line(L("Laporan masuk ke kejadian ini", "Report joined this incident"));
    case "report_detached":
      return line(L("Laporan dilepas dari kejadian ini", "Report taken out of this incident"));
    case "report_dismissed":
      return line(L("Laporan dikesampingkan", "Report dismissed") + because(e.reason));
    case "duplicate_suspected":
      return line(
        L(
          `Mirip kejadian ${shortId(str(e.like))}, ${decimal(num(e.distance_m) ?? 0)} m`,
          `Looks like ${shortId(str(e.like))}, ${decimal(num(e.distance_m) ?? 0)} m away`,
        ),
        "risk",
      );
    case "incident_opened":
      return line(
        L(
          `Dibuka: ${kindName(region, str(e.incident_kind))}, P${e.priority}; perlu ${list(e.required)}`,
          `Opened: ${kindName(region, str(e.incident_kind))}, P${e.priority}; needs ${list(e.required)}`,
        ),
      );
    case "incident_regraded":
      return line(
        `${kindName(region, str(e.kind_before))} P${e.priority_before} → ${kindName(region, str(e.incident_kind))} P${e.priority}${because(e.reason)}`,
      );
    case "incident_relocated":
      return line(L("Lokasi dipindah", "Moved") + because(e.reason));
    case "incident_merged":
      return line(L(`Digabung ke ${shortId(str(e.into))}`, `Merged into ${shortId(str(e.into))}`));
    case "incident_unmerged":
      return line(L("Penggabungan dibatalkan", "Merge undone"));
    case "incident_cancelled":
      return line(L("Dibatalkan", "Cancelled") + because(e.reason));
    case "incident_closed":
      return line(L("Ditutup", "Closed") + because(e.outcome), "good");
    case "incident_reopened":
      return line(L("Dibuka lagi", "Reopened") + because(e.reason));
    case "incident_noted":
      return line(str(e.text), "note");
    case "photo_kept":
      return line(L(`Foto dari ${unit}`, `Picture from ${unit}`), "note");
    case "patients_counted":
      return line(L(`${unit} menghitung ${num(e.patients)} korban`, `${unit} counts ${num(e.patients)} hurt`), "note");
    case "crew_safe":
      return line(L(`${unit} memberi kabar: aman`, `${unit} reports: all well`));
    case "crew_silent":
      return line(L(`${unit} tidak memberi kabar dari lokasi`, `${unit} gives no sign of life`), "late");
    case "alarm_raised":
      return line(L(`Tingkat alarm ${e.level}`, `Alarm level ${e.level}`) + because(e.reason), "risk");
    case "triage_answered":
      return line(L("Jawaban triase dicatat", "Triage answer noted"));
    case "plan_confirmed":
      return line(L("Rencana disetujui", "Plan confirmed"));
    case "plan_short":
      return line(L(`Belum ada unit untuk: ${list(e.missing)}`, `No unit for: ${list(e.missing)}`), "risk");
    case "response_at_risk":
      return line(
        L(
          `Terancam terlambat, peluang tepat waktu ${Math.round((num(e.chance) ?? 0) * 100)} %`,
          `At risk of being late, chance in time ${Math.round((num(e.chance) ?? 0) * 100)} %`,
        ),
        "risk",
      );
    case "warning_acknowledged":
      return line(L("Peringatan ditangani", "Warning taken on"));
    case "warning_escalated":
      return line(
        L(
          `Peringatan belum ditangani, naik ke ${rungName(num(e.level) ?? 1)}`,
          `Nobody took the warning on: up to ${rungName(num(e.level) ?? 1)}`,
        ),
        "risk",
      );
    case "response_late":
      return line(L("Lewat 7 menit, belum ada unit di lokasi", "Past 7 minutes, nobody at the scene"), "late");
    case "unit_recommended": {
      return line(
        e.chosen
          ? L(`Disarankan ${str(e.chosen)}`, `Recommends ${str(e.chosen)}`)
          : L(
              `Tidak ada calon untuk ${capabilityName(str(e.capability), region)}`,
              `No candidate for ${capabilityName(str(e.capability), region)}`,
            ),
      );
    }
    case "unit_assigned": {
      const eta = num(e.eta_s);
      const from = e.diverted_from ? L(", dialihkan", ", diverted") : "";
      return line(
        L(`${unit} dipanggil`, `${unit} alerted`) +
          (eta === null ? "" : L(`, perkiraan ${clock(eta)}`, `, ETA ${clock(eta)}`)) +
          from +
          because(e.reason),
      );
    }
    case "unit_realerted":
      return line(L(`${unit} dipanggil lagi (ke-${e.alerts})`, `${unit} alerted again (no. ${e.alerts})`), "risk");
    case "voice_task_raised":
      return line(L(`${unit} tidak menjawab: panggil lewat radio`, `${unit} does not answer: use the radio`), "late");
    case "job_receipted":
      return line(
        str(e.step) === "seen"
          ? L(`${unit} membuka tugas`, `${unit} opened the job`)
          : L(`Tugas sampai di ${unit}`, `Job reached ${unit}`),
      );
    case "job_acknowledged":
      return line(L(`${unit} menerima`, `${unit} accepted`));
    case "job_declined":
      return line(L(`${unit} menolak`, `${unit} declined`) + because(e.reason), "risk");
    case "job_unanswered":
      return line(
        L(`${unit} tidak menjawab, unit berikutnya dikirim`, `${unit} did not answer, next unit goes`),
        "risk",
      );
    case "unit_withdrawn":
      return line(L(`${unit} ditarik`, `${unit} stood down`) + because(e.reason));
    case "unit_en_route":
      return line(L(`${unit} berangkat`, `${unit} rolling`));
    case "arrival_proposed":
      return line(
        L(
          `${unit} tampaknya sudah di lokasi, belum dikonfirmasi awak`,
          `${unit} seems to be there, crew has not confirmed`,
        ),
      );
    case "unit_at_scene":
      return line(
        L(`${unit} tiba`, `${unit} at scene`) +
          (e.by === "dispatcher" ? L(" (dicatat operator)", " (set by operator)") : ""),
        "good",
      );
    case "unit_at_patient":
      return line(L(`${unit} bersama pasien`, `${unit} with patient`));
    case "unit_transporting": {
      const hospital = region?.hospitals[str(e.hospital_id)]?.name;
      return line(L(`${unit} membawa pasien`, `${unit} transporting`) + (hospital ? ` → ${hospital}` : ""));
    }
    case "unit_at_hospital":
      return line(L(`${unit} di rumah sakit`, `${unit} at hospital`));
    case "unit_cleared":
      return line(L(`${unit} selesai`, `${unit} clear`));
    case "move_declined":
      return line(
        L(
          `${unit} tidak digeser ke ${postName(region, str(e.post))}`,
          `${unit} not moved to ${postName(region, str(e.post))}`,
        ),
      );
    case "move_ordered":
      return line(
        L(`${unit} digeser ke ${postName(region, str(e.post))}`, `${unit} moves to ${postName(region, str(e.post))}`),
      );
    case "duty_started":
      return line(
        L(`${unit} mulai tugas`, `${unit} on duty`) +
          (Array.isArray(e.crew) && e.crew.length ? `: ${e.crew.map(String).join(", ")}` : "") +
          (Array.isArray(e.faults) && e.faults.length
            ? L(`; kerusakan: ${e.faults.join(", ")}`, `; faults: ${e.faults.join(", ")}`)
            : ""),
        Array.isArray(e.faults) && e.faults.length ? "risk" : "plain",
      );
    case "duty_ended":
      return line(L(`${unit} lepas tugas`, `${unit} off duty`));
    case "unit_out_of_service":
      return line(L(`${unit} tidak siap`, `${unit} out of service`) + because(e.reason), "risk");
    case "unit_returned":
      return line(L(`${unit} siap lagi`, `${unit} available again`));
    case "unit_placed":
      return line(L(`${unit} ditempatkan di peta`, `${unit} placed on the map`));
    case "road_restricted":
      return line(
        (num(e.factor) === null ? L("Jalan ditutup", "Road closed") : L("Jalan tersendat", "Road slow")) +
          (str(e.street) ? ` ${str(e.street)}` : "") +
          because(e.reason),
        "risk",
      );
    case "restriction_lifted":
      return line(L("Hambatan jalan dicabut", "Road restriction lifted"));
    case "clock_corrected":
      return line(L("Waktu dibetulkan", "Time corrected") + because(e.reason), "note");
    case "handed_over":
      return line(`${L("Serah terima", "Handover")}: ${str(e.text)}`, "note");
    default:
      return null;
  }
}

export function unitNamer(assignments: Iterable<Assignment>): (id: string) => string {
  const names = new Map<string, string>();
  for (const a of assignments) names.set(a.assignment_id, a.unit_id);
  return (id) => names.get(id) ?? L("unit", "unit");
}
