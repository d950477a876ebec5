/** Order by danger without rows that jump under the operator's eyes. Pure. */

export interface Ranked {
  id: string;
  /** Larger = higher in the list. */
  score: number;
}

/** Rows swap only for a clear difference: a few seconds of predicted arrival are noise, not news. */
export const SWAP_MARGIN = 15;

/**
 * The next order of a list, given the one on the screen.
 *
 * While `held` (the operator reads, points or types) rows keep their places; new ones slide in where their score belongs,
 * gone ones leave. Otherwise rows move up only past rows they clearly outrank.
 */
export function nextOrder(shown: readonly string[], items: readonly Ranked[], held: boolean): string[] {
  const score = new Map(items.map((i) => [i.id, i.score]));
  const kept = shown.filter((id) => score.has(id));
  const known = new Set(kept);
  const fresh = items.filter((i) => !known.has(i.id)).sort((a, b) => b.score - a.score);

  if (!held) {
    // Insertion sort with a margin: stable for near-equals, linear on an almost sorted list.
    for (let i = 1; i < kept.length; i++) {
      const id = kept[i]!;
      const own = score.get(id)!;
      let j = i;
      while (j > 0 && own > score.get(kept[j - 1]!)! + SWAP_MARGIN) {
        kept[j] = kept[j - 1]!;
        j--;
      }
      kept[j] = id;
    }
  }
  for (const item of fresh) {
    let at = kept.length;
    while (at > 0 && score.get(kept[at - 1]!)! < item.score) at--;
    kept.splice(at, 0, item.id);
  }
  return kept;
}
