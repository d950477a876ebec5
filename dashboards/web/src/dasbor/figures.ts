/** What `GET /api/v1/board` answers, as far as the screen reads it. Seconds; shares 0..1. */
import type { TrendPoint } from "../lib/charts/Trend.svelte";
import { lang } from "../lib/lang.svelte";

export interface Share {
  n: number;
  within: number;
  share: number | null;
  low: number | null;
  high: number | null;
}
export interface Quantiles {
  p50: number | null;
  p90: number | null;
  p99: number | null;
  measured: number;
  missing: number;
}
export interface Group {
  key: string;
  share: Share;
  response: Quantiles;
}
export interface ZoneRow {
  code: string;
  name: string;
  n: number | null;
  within: number | null;
  share: number | null;
  low: number | null;
  high: number | null;
  p90_s: number | null;
}
type Names = Record<string, [string, string]>;

export interface Board {
  figures: {
    region_name: string;
    definition: string;
    target_s: number;
    since: string;
    until: string;
    made_at: string;
    /** The last journal line in them. */
    last_seq: number;
    approximate: boolean;
    summary: {
      headline: Share;
      response: Quantiles;
      transport: Quantiles;
      full: Quantiles;
      phases: { name: string; budget_s: number; p50_s: number | null; p90_s: number | null; recorded: number }[];
      late: Record<string, number>;
      excluded: Record<string, number>;
      missing_lines: number;
      suspected_duplicates: number;
    };
    zones: ZoneRow[];
    groups: Record<string, Group[]>;
    days: TrendPoint[];
    p90_days: TrendPoint[];
    spike: { just_under: number };
    late: {
      late: number;
      explained: number;
      causes: { code: string; decisive: number; would_save: number; present: number; seconds: number }[];
    };
    calls: {
      presented: number;
      answered: number;
      abandoned: number;
      called_back: number;
      unheard: number;
      within: Record<string, Share>;
      answer: Quantiles;
    };
    zero_windows: { group: string; began_at: string; ended_at: string | null; nobody_on_duty: boolean }[];
    zero_s: number;
    corrections: unknown[];
  };
  step: "day" | "month";
  sliced: boolean;
  catching_up: boolean;
  deepening: boolean;
  /** [weekday, Monday first][local hour] */
  heat: { n: number; within: number }[][];
  villages: { code: string; name: string; share: Share; p90_s: number | null }[];
  posts: Group[];
  agencies: Group[];
  units: {
    unit_id: string;
    unit_type: string;
    post: string;
    duty_s: number;
    busy_s: number;
    out_s: number;
    jobs: number;
    moves: number;
    uhu: number | null;
  }[];
  windows: number;
  hospitals: { code: string; name: string; handed_over: number; offload: Quantiles }[];
  dismissed: [string, number][];
  demand: {
    past: [string, number][];
    ahead: { day: string; expected: number; low: number; high: number }[];
    checked: number;
    inside: number;
  };
  post_names: Record<string, string>;
  agency_names: Record<string, string>;
  cause_names: Names;
  phase_names: Names;
  kind_names: Names;
}

/** Local days of the city. */
export const OFFSET_H = 7;

/** A change somebody noted: a line on the charts from that day. */
export interface Mark {
  id: string;
  day: string;
  words: string;
  made_by: string;
}

/** What a pressed number asks to see. Parameters of a slice win over the board's own filters. */
export interface Behind {
  what: "incidents" | "calls" | "jobs";
  slice: Record<string, string>;
  title: string;
}
export type Open = (slice: Record<string, string>, title: string, what?: Behind["what"]) => void;

/** The board's query with what the number stands for. Pure. */
export function narrowed(base: string, slice: Record<string, string>): string {
  const all = new URLSearchParams(base);
  for (const [name, value] of Object.entries(slice)) all.set(name, value);
  return all.toString();
}

/** For lists that know no filters but the period: calls and jobs. Pure. */
export function inPeriod(base: string, slice: Record<string, string>): string {
  const board = new URLSearchParams(base);
  return narrowed(
    new URLSearchParams({ since: board.get("since") ?? "", until: board.get("until") ?? "" }).toString(),
    slice,
  );
}

const locale = (): string => (lang.now === "en" ? "en-GB" : "id-ID");
export const when = (at: string | null, seconds = false): string =>
  at ? new Date(at).toLocaleString(locale(), { dateStyle: "short", timeStyle: seconds ? "medium" : "short" }) : "–";
/** "2026-10-01" as people say it. */
export const dayName = (day: string): string =>
  new Date(`${day}T12:00:00Z`).toLocaleDateString(locale(), { day: "numeric", month: "short", year: "numeric" });

export type Span = "today" | "7d" | "30d" | "365d" | "own";

/** A period of the board as [since, until) in UTC, from whole local days. Pure. */
export function period(span: Span, now_ms: number, utc_offset_h: number, from = "", to = ""): [string, string] {
  const day = 86_400_000;
  const local = now_ms + utc_offset_h * 3_600_000;
  const midnight = Math.floor(local / day) * day - utc_offset_h * 3_600_000;
  const iso = (ms: number): string => new Date(ms).toISOString();
  if (span === "own" && from && to) {
    const start = Date.parse(`${from}T00:00:00Z`) - utc_offset_h * 3_600_000;
    const end = Date.parse(`${to}T00:00:00Z`) - utc_offset_h * 3_600_000 + day;
    return [iso(start), iso(end)];
  }
  const days = { today: 0, "7d": 6, "30d": 29, "365d": 364, own: 6 }[span];
  return [iso(midnight - days * day), iso(midnight + day)];
}

/** Offers a table as a file. */
export function save(name: string, text: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  link.download = `siaga112-${name}.csv`;
  link.click();
  URL.revokeObjectURL(link.href);
}

/** A table as CSV (RFC 4180), for a manager's own spreadsheet. Pure. */
export function csv(rows: (string | number | null)[][]): string {
  const cell = (v: string | number | null): string => {
    const s = v === null ? "" : String(v);
    return /[",\n]/.test(s) ? `"${s.replaceAll('"', '""')}"` : s;
  };
  return rows.map((row) => row.map(cell).join(",")).join("\r\n") + "\r\n";
}
