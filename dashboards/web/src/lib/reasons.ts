/** Why a policy chose a unit (`WHYS` of dispatch/policies/view.py) in an operator's words; a person's reason stays as it is. */
import { L } from "./lang.svelte";

const CODES = ["soonest", "diverted_up", "swap", "takes_over", "best_together", "coverage"] as const;

export const isCode = (reason: string): boolean => (CODES as readonly string[]).includes(reason);

export function reasonText(reason: string): string {
  return (
    {
      soonest: L("paling cepat tiba", "soonest there"),
      diverted_up: L("dialihkan dari yang kurang mendesak", "diverted from something less urgent"),
      swap: L("bertukar tugas, keduanya lebih cepat", "jobs swapped, both served sooner"),
      takes_over: L("bebas lebih dekat, mengambil alih", "became free nearer, takes over"),
      best_together: L("terbaik untuk semua kejadian yang menunggu", "best for all waiting incidents"),
      coverage: L("sedikit lebih lambat, kota tetap terjangkau", "a little slower, leaves the city covered"),
    }[reason] ?? reason
  );
}
