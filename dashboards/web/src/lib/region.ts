/** The region's names, fetched once and turned into look-ups. */
import { get } from "./api";
import type { Question, Region } from "./types";

const LISTS = ["kinds", "unit_types", "capabilities", "posts", "hospitals", "zones", "agencies"] as const;

export function asRegion(answer: Record<string, unknown>): Region {
  const region: Record<string, unknown> = { ...answer };
  for (const name of LISTS) {
    const rows = (answer[name] ?? []) as { code: string }[];
    region[name] = Object.fromEntries(rows.map((row) => [row.code, row]));
  }
  region.approximate = (answer.router as { approximate?: boolean } | undefined)?.approximate ?? true;
  return region as unknown as Region;
}

export const loadRegion = async (): Promise<Region> => asRegion(await get("/api/v1/region"));

const questions = new Map<string, Promise<Question[]>>();

/** The question set of a kind; empty when the region has none or the server is away (asked again next time). */
export function loadQuestions(kind: string): Promise<Question[]> {
  let known = questions.get(kind);
  if (!known) {
    known = get<{ set: { questions: Question[] } | null }>(`/api/v1/triage/${encodeURIComponent(kind)}`)
      .then((answer) => answer.set?.questions ?? [])
      .catch(() => {
        questions.delete(kind);
        return [];
      });
    questions.set(kind, known);
  }
  return known;
}
