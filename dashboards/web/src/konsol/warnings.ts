import { L } from "../lib/lang.svelte";
import type { Region } from "../lib/types";

/** As `dispatch.events.Remedy`: something that would still help a response that will be late. */
export interface Remedy {
  kind: string;
  unit_id?: string | null;
  agency?: string | null;
  leaves?: string | null;
  gain_s?: number | null;
  chance?: number;
}

/** Who hears of a warning that nobody takes on, from the first rung. */
export const rungName = (level: number): string =>
  [L("dispatcher", "dispatcher"), L("penyelia", "the supervisor"), L("manajer piket", "the duty manager")][level - 1] ??
  "";

/** What somebody at the desk would say: who, how much sooner, and with what chance. */
export function remedyText(r: Remedy, region: Region | null): string {
  const agency = (r.agency && region?.agencies[r.agency]?.name) || r.agency || "";
  if (!r.unit_id) return L(`Telepon ${agency}, posisinya tidak terlihat`, `Ring up ${agency}, position not seen`);
  const who =
    r.kind === "mutual_aid"
      ? L(`Minta ${r.unit_id} (${agency})`, `Ask ${r.unit_id} (${agency})`)
      : r.kind === "volunteer"
        ? L(`Minta relawan ${r.unit_id}`, `Ask volunteer ${r.unit_id}`)
        : r.unit_id;
  const gain =
    typeof r.gain_s === "number"
      ? L(`${Math.round(r.gain_s)} dtk lebih cepat`, `${Math.round(r.gain_s)} s sooner`)
      : L("belum ada yang menuju", "nobody is coming yet");
  const chance = Math.round((r.chance ?? 0) * 100);
  return L(`${who}: ${gain}, peluang ${chance} %`, `${who}: ${gain}, chance ${chance} %`);
}
