/** What a call taker has typed so far, kept in the browser until the server has taken it. */
import type { Place } from "../lib/types";

export interface Draft {
  /** Idempotency key of the report: made once, sent with every try. */
  key: string;
  placeText: string;
  place: Place | null;
  text: string;
  kind: string | null;
  /** The operator chose the kind: suggestions no longer change it. */
  kindChosen: boolean;
  priority: number | null;
  answers: Record<string, string>;
  phone: string;
  name: string;
}

/** Older drafts are of calls long over. */
const KEEP_MS = 12 * 3_600_000;
const name = (report_id: string | null): string => `siaga.draft.${report_id ?? "new"}`;

export function emptyDraft(): Draft {
  return {
    key: crypto.randomUUID(),
    placeText: "",
    place: null,
    text: "",
    kind: null,
    kindChosen: false,
    priority: null,
    answers: {},
    phone: "",
    name: "",
  };
}

export function recall(report_id: string | null): Draft {
  try {
    const kept = JSON.parse(localStorage.getItem(name(report_id)) ?? "null") as { at: number; draft: Draft } | null;
    if (kept && Date.now() - kept.at < KEEP_MS) return { ...emptyDraft(), ...kept.draft };
  } catch {
    // A broken draft is no draft.
  }
  return emptyDraft();
}

export function keep(report_id: string | null, draft: Draft): void {
  try {
    localStorage.setItem(name(report_id), JSON.stringify({ at: Date.now(), draft }));
  } catch {
    // Storage full or forbidden: the form still works, only a reload would lose it.
  }
}

/** Throw away what is too old to be recalled, so that years of shifts do not fill a browser's storage. */
export function sweep(): void {
  for (const kept of Object.keys(localStorage)) {
    if (!kept.startsWith("siaga.draft.")) continue;
    try {
      const { at } = JSON.parse(localStorage.getItem(kept) ?? "") as { at: number };
      if (Date.now() - at < KEEP_MS) continue;
    } catch {
      // Broken: goes too.
    }
    localStorage.removeItem(kept);
  }
}

export function forget(report_id: string | null): void {
  localStorage.removeItem(name(report_id));
}
