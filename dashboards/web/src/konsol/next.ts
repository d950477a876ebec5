/** The one thing to do next about an incident, so that Enter is right most of the time. */
import { L } from "../lib/lang.svelte";
import type { Deeds } from "./deeds.svelte";
import { OPEN, type Row } from "./glance.svelte";
import { remedyText } from "./warnings";
import { shortId } from "./words";

export interface Next {
  kind: "confirm" | "send" | "faster" | "merge" | "radio" | "close";
  label: string;
  why: string;
  go: () => void;
}

export function nextOf(desk: Deeds, row: Row): Next | null {
  const { incident, active, danger } = row;
  const id = incident.incident_id;
  const twin = Object.entries(incident.like ?? {}).sort((a, b) => b[1] - a[1])[0];
  const twinOpen = twin && desk.live.world.incidents.get(twin[0]);
  if (twin && twinOpen && OPEN.has(twinOpen.state) && active.length === 0)
    return {
      kind: "merge",
      label: L(`Gabungkan ke ${shortId(twin[0])}`, `Merge into ${shortId(twin[0])}`),
      why: L(
        `${Math.round(twin[1] * 100)} % mirip; bantuan sudah menuju ke sana`,
        `${Math.round(twin[1] * 100)} % alike; help already goes there`,
      ),
      go: () => void desk.merge(id, twin[0]),
    };
  const pick = desk.picksOf(incident).find((p) => p.chosen);
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
      go: () => void desk.confirm(id),
    };
  const free = (unit: string | null) => unit !== null && desk.live.world.units.get(unit)?.state === "available";
  if ((incident.unfilled?.length ?? 0) > 0 || (incident.state === "waiting" && active.length === 0)) {
    const best = pick?.candidates.unit_ids.find((u) => free(u));
    if (best)
      return {
        kind: "send",
        label: L(`Kirim ${best}`, `Send ${best}`),
        why:
          (active.length === 0
            ? L("Belum ada unit menuju", "Nobody is on the way")
            : L("Rencana belum terisi", "The plan is not filled yet")) + minutes,
        go: () => void desk.send(id, best),
      };
  }
  const remedy = desk.remediesOf(incident).find((r) => !r.leaves && free(r.unit_id ?? null));
  if (danger.arrived_s === null && danger.tone !== "calm" && remedy)
    return {
      kind: "faster",
      label: L(`Kirim juga ${remedy.unit_id}`, `Also send ${remedy.unit_id}`),
      why: remedyText(remedy, desk.region),
      go: () => void desk.help(id, remedy),
    };
  const mute = active.find((a) => a.state === "alerted" && (a.alerts ?? 1) > 1);
  if (mute)
    return {
      kind: "radio",
      label: L(`${mute.unit_id} menjawab lewat radio`, `${mute.unit_id} answers by radio`),
      why: L("HP tidak menjawab: panggil lewat HT", "The phone does not answer: call by radio"),
      go: () =>
        void desk.crew(
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
      go: () => void desk.close(id),
    };
  return null;
}
