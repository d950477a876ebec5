/** What operators call things. Names of the city's own things come from the region; these are the system's. */
import { L, named } from "../lib/lang.svelte";
import type { AssignmentState, Incident, IncidentState, Region, UnitState } from "../lib/types";
import type { Words } from "./difference";

/** "261124-0147" -> "0147": the day is on the wall; the number is what goes over the radio. */
export const shortId = (id: string): string => id.slice(id.lastIndexOf("-") + 1);

export const kindName = (region: Region | null, code: string | null | undefined): string =>
  code ? named(region?.kinds[code], code) : L("belum diketahui", "unknown");

export const postName = (region: Region | null, code: string | null | undefined): string =>
  code ? (region?.posts[code]?.name ?? code) : "–";

export const zoneName = (region: Region | null, code: string | null | undefined): string =>
  code ? (region?.zones[code]?.name ?? code) : "";

/** "ambulance|first_aid" -> "ambulans atau pertolongan pertama". */
export function capabilityName(code: string, region: Region | null): string {
  return code
    .split("|")
    .map((c) => named(region?.capabilities[c], c.replaceAll("_", " ")))
    .join(L(" atau ", " or "));
}

export function unitStateName(state: UnitState): string {
  return {
    off_duty: L("Lepas tugas", "Off duty"),
    available: L("Siap", "Available"),
    committed: L("Bertugas", "On a job"),
    out_of_service: L("Tidak siap", "Out of service"),
  }[state];
}

export function assignmentStateName(state: AssignmentState): string {
  return {
    alerted: L("Dipanggil", "Alerted"),
    acknowledged: L("Diterima", "Accepted"),
    en_route: L("Menuju lokasi", "En route"),
    at_scene: L("Di lokasi", "At scene"),
    transporting: L("Ke rumah sakit", "To hospital"),
    at_hospital: L("Di rumah sakit", "At hospital"),
    cleared: L("Selesai", "Cleared"),
    declined: L("Menolak", "Declined"),
    unanswered: L("Tidak menjawab", "No answer"),
    withdrawn: L("Ditarik", "Stood down"),
  }[state];
}

export function incidentStateName(state: IncidentState): string {
  return {
    waiting: L("Belum ada unit", "No unit yet"),
    dispatched: L("Unit menuju", "Units coming"),
    on_scene: L("Ditangani", "On scene"),
    closed: L("Ditutup", "Closed"),
    cancelled: L("Dibatalkan", "Cancelled"),
    merged: L("Digabung", "Merged"),
  }[state];
}

export function sourceName(source: string | undefined): string {
  return (
    {
      device: L("posisi HP pelapor", "caller's phone"),
      aml: L("posisi AML", "AML position"),
      link: L("tautan lokasi", "location link"),
      operator: L("dipilih operator", "set by operator"),
      partner: L("mitra", "partner"),
    }[source ?? "operator"] ?? ""
  );
}

export function verdictText(code: string): string {
  return (
    {
      chosen: L("Disarankan", "Recommended"),
      slower: L("Lebih lambat", "Slower"),
      needed_elsewhere: L("Lebih dekat, tetapi dibutuhkan kejadian lain", "Nearer, but needed elsewhere"),
      coverage: L("Lebih dekat, tetapi wilayahnya akan kosong", "Nearer, but would leave its area empty"),
      declined: L("Sudah menolak atau tidak menjawab", "Declined or did not answer"),
      unreachable: L("Tidak ada jalan ke lokasi", "No road leads there"),
      busy: L("Sedang bertugas", "On another job"),
      out_of_service: L("Tidak siap", "Out of service"),
    }[code] ?? code
  );
}

export function channelName(code: string): string {
  return (
    {
      call: L("Telepon", "Call"),
      web: "Web",
      app: L("Aplikasi", "App"),
      partner: L("Mitra", "Partner"),
      radio: "Radio",
    }[code] ?? code
  );
}

export function roleName(role: string): string {
  return (
    {
      call_taker: L("Penerima panggilan", "Call taker"),
      dispatcher: L("Pengirim", "Dispatcher"),
      supervisor: L("Penyelia", "Supervisor"),
      crew: L("Awak", "Crew"),
      manager: L("Manajer", "Manager"),
      auditor: "Auditor",
      admin: "Admin",
      citizen: L("Warga", "Citizen"),
      partner: L("Mitra", "Partner"),
      system: L("Sistem", "System"),
    }[role] ?? role
  );
}

/** How the difference between two states of an incident is told. */
export function differenceWords(region: Region | null, place: (incident: Incident) => string): Words {
  return {
    label: (field) =>
      ({
        state: L("Keadaan", "State"),
        kind: L("Jenis", "Kind"),
        priority: L("Prioritas", "Priority"),
        place: L("Lokasi", "Place"),
        alarm: L("Tingkat alarm", "Alarm level"),
        units: L("Unit", "Units"),
        missing: L("Kurang", "Missing"),
        patients: L("Korban", "Hurt"),
        note: L("Catatan", "Note"),
        merged: L("Digabung ke", "Merged into"),
        outcome: L("Hasil", "Outcome"),
      })[field],
    state: incidentStateName,
    kind: (code) => kindName(region, code),
    place,
    capability: (code) => capabilityName(code, region),
    unit: (unit_id, state) => `${unit_id} ${assignmentStateName(state).toLowerCase()}`,
    none: "–",
  };
}
