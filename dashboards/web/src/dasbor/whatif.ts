/** What `/api/v1/what-if` takes and answers, and how a scenario is said in a line. Shares 0..1, seconds, rupiah. */
import { L, decimal } from "../lib/lang.svelte";
import type { Share } from "./figures";

export interface AddUnits {
  unit_type: string;
  count: number;
  post?: string;
  lon?: number;
  lat?: number;
  name?: string;
  from_h: number;
  to_h: number;
  cost_hour?: number | null;
}
export interface Changes {
  add?: AddUnits[];
  close?: string[];
  closed_units?: "nearest" | "gone";
  move_up?: boolean | null;
  answer_s?: number | null;
}
export interface Answer {
  before: Share;
  after: Share;
  change: number;
  low: number;
  high: number;
  days: number;
  p90_before_s: number | null;
  p90_after_s: number | null;
  moves_before: number;
  moves_after: number;
  zones: { code: string; name: string; n: number; before: number; after: number; gained: number; lost: number }[];
  policy: string;
  approximate_roads: boolean;
  more_in_time_yearly: number;
  cost_yearly: number | null;
  cost_each: number | null;
}
export interface Place {
  code: string;
  name: string;
  zone: string;
  lon: number;
  lat: number;
  gain: number;
}
export interface Job {
  id: string;
  name: string;
  asked: { name: string; changes: Changes; days: number; seed: number } | null;
  ranking: { unit_type: string; from_h: number; to_h: number; check: number; days: number } | null;
  made_by: string;
  made_at: string;
  state: "queued" | "running" | "done" | "failed" | "cancelled";
  progress: number;
  answer: Answer | null;
  ranked: { place: Place; answer: Answer | null }[] | null;
  why: string;
}
export interface Option {
  code: string;
  name: string;
  lon: number | null;
  lat: number | null;
  first: boolean;
  /** Rupiah an hour on duty, where the region pack says so. */
  cost_hour: number | null;
}
export interface WhatIfs {
  jobs: Job[];
  posts: Option[];
  unit_types: Option[];
  policy: string;
  moves_up: boolean;
  can_simulate: boolean;
  approximate: boolean;
}

/** +1,2 poin: a difference of shares. */
export const points = (v: number): string => `${v > 0 ? "+" : v < 0 ? "−" : "±"}${decimal(Math.abs(v) * 100, 1)}`;

/** +12, −34: a signed whole number with a real minus. */
export const whole = (v: number): string =>
  `${v >= 0.5 ? "+" : v <= -0.5 ? "−" : ""}${decimal(Math.abs(Math.round(v)))}`;

/** Better, worse, or not told apart from nothing: the interval decides, not the middle. Pure. */
export const verdict = (a: { low: number; high: number }): "better" | "worse" | "unclear" =>
  a.low > 0 ? "better" : a.high < 0 ? "worse" : "unclear";

/** A scenario in one line. */
export function say(changes: Changes, posts: Map<string, string>, types: Map<string, string>): string {
  const hours = (from: number, to: number): string =>
    from === to ? L("siang malam", "day and night") : `${pad(from)}–${pad(to)}`;
  const pad = (h: number): string => String(Math.floor(h)).padStart(2, "0");
  return [
    ...(changes.add ?? []).map(
      (a) =>
        `+${a.count} ${types.get(a.unit_type) ?? a.unit_type} ${L("di", "at")} ${
          a.post ? (posts.get(a.post) ?? a.post) : a.name
        }, ${hours(a.from_h, a.to_h)}`,
    ),
    ...(changes.close ?? []).map(
      (code) =>
        `${L("tutup", "close")} ${posts.get(code) ?? code} (${
          changes.closed_units === "gone"
            ? L("unitnya ditiadakan", "its units go")
            : L("unitnya ke pos terdekat", "its units to the nearest post")
        })`,
    ),
    ...(changes.move_up == null
      ? []
      : [changes.move_up ? L("geser unit: ya", "move-up on") : L("geser unit: tidak", "move-up off")]),
    ...(changes.answer_s == null
      ? []
      : [L(`dijawab dalam ${decimal(changes.answer_s)} dtk`, `answered in ${decimal(changes.answer_s)} s`)]),
  ].join(" · ");
}
