/** Where this phone is, how often it says so, and the way our own engine found from there. */
import { call, Problem } from "../lib/api";
import { time } from "../lib/clock.svelte";
import { L } from "../lib/lang.svelte";
import { track } from "./outbox";
import { progress, type Way } from "./route";

export interface Fix {
  lon: number;
  lat: number;
  accuracy_m: number | null;
  speed_mps: number | null;
  heading_deg: number | null;
}

/** With the phone's own clock and what it was known to be off by then; 0: not known yet, what is known when it is sent is taken. */
type Kept = Fix & { at_ms: number; offset_ms: number };

/** Eight hours at one fix in ten seconds; older ones are dropped first, a hundred at a time. */
const FIXES_MAX = 2880;
const FIXES_SENT_MAX = 100;
/** Beside the way by more than a wide street and the receiver's own error. */
const OFF_M = 80;
/** Two fixes in a row: one may be a reflection from a house. */
const OFF_FIXES = 2;
const ROUTE_EVERY_MS = 10_000;

export class Where {
  here = $state.raw<Fix | null>(null);
  wrong = $state("");
  way = $state.raw<Way | null>(null);
  /** Where the way leads; null = nowhere at present. */
  #goal: { key: string; lon: number; lat: number } | null = null;
  #routed = "";
  #asked_ms = 0;
  #off = 0;
  #failed = false;
  #asking = false;

  #watch: number | null = null;
  #precise = false;
  /** How many wait in the phone's database; null until it has been asked. */
  #kept: number | null = null;
  /** What a full phone would not keep; lost at a restart. */
  #loose: Kept[] = [];
  #last_ms = 0;
  #sending = false;

  constructor(private readonly every_s: (moving: boolean) => number) {
    void track.count().then(
      (n) => (this.#kept = n),
      () => (this.#kept = 0),
    );
  }

  /** `precise` costs battery: with a job, not while parked at the post. "off" stops listening to the receiver. */
  watch(mode: "precise" | "coarse" | "off"): void {
    if (!("geolocation" in navigator)) return;
    const precise = mode === "precise";
    if (this.#watch !== null && (mode === "off" || precise !== this.#precise)) {
      navigator.geolocation.clearWatch(this.#watch);
      this.#watch = null;
    }
    if (mode === "off" || this.#watch !== null) return;
    this.#precise = precise;
    this.#watch = navigator.geolocation.watchPosition(
      (p) => this.#take(p.coords),
      (error) =>
        (this.wrong =
          error.code === 1
            ? L("Izin lokasi belum diberikan", "Location is not allowed")
            : L("GPS belum dapat posisi", "No GPS position")),
      { enableHighAccuracy: precise, maximumAge: precise ? 2000 : 30_000 },
    );
  }

  #take(coords: GeolocationCoordinates): void {
    this.wrong = "";
    const fix: Fix = {
      lon: coords.longitude,
      lat: coords.latitude,
      accuracy_m: coords.accuracy,
      speed_mps: coords.speed,
      heading_deg: Number.isFinite(coords.heading) ? coords.heading : null,
    };
    this.here = fix;
    if (this.way) this.#off = progress(this.way, fix).off_m > OFF_M + (fix.accuracy_m ?? 0) ? this.#off + 1 : 0;
    if (Date.now() - this.#last_ms < this.every_s((fix.speed_mps ?? 0) > 1) * 1000) return;
    this.#last_ms = Date.now();
    void this.#keep({ ...fix, at_ms: Date.now(), offset_ms: time.offset_ms });
  }

  async #keep(fix: Kept): Promise<void> {
    try {
      await track.add(fix);
      this.#kept = await track.count();
      if (this.#kept > FIXES_MAX) {
        const { last } = await track.oldest(FIXES_SENT_MAX);
        if (last !== undefined) await track.forget(last);
      }
    } catch {
      this.#loose = [...this.#loose, fix].slice(-FIXES_SENT_MAX);
    }
  }

  /** A batch of what waits, the oldest first. */
  async sendFixes(token: string): Promise<void> {
    if (this.#sending || (this.#kept === 0 && this.#loose.length === 0)) return;
    this.#sending = true;
    try {
      const { fixes: kept, last } = await track
        .oldest<Kept>(FIXES_SENT_MAX)
        .catch(() => ({ fixes: [], last: undefined }) as { fixes: Kept[]; last: undefined });
      const loose = kept.length > 0 ? [] : this.#loose;
      const fixes = [...kept, ...loose].map(({ at_ms, offset_ms, ...fix }) => ({
        ...fix,
        fixed_at: new Date(at_ms + (offset_ms || time.offset_ms)).toISOString(),
      }));
      if (fixes.length > 0)
        try {
          await call("POST", "/api/v1/unit/fixes", { fixes }, { token });
        } catch (error) {
          // Refused as a whole: sending the same again would not help. Anything else: later.
          if (!(error instanceof Problem)) throw error;
          if (error.status !== 422) return;
        }
      if (last !== undefined) await track.forget(last);
      this.#loose = this.#loose.filter((fix) => !loose.includes(fix));
      this.#kept = await track.count().catch(() => 0);
    } finally {
      this.#sending = false;
    }
  }

  /** Where to: another goal, or roads that have changed meanwhile (`key`), make the old way void. */
  head(goal: { key: string; lon: number; lat: number } | null): void {
    if (goal?.key === this.#goal?.key) return;
    const elsewhere = goal?.lon !== this.#goal?.lon || goal?.lat !== this.#goal?.lat;
    this.#goal = goal;
    if (elsewhere) this.way = null; // a way whose roads have changed is better than none until the new one is there
  }

  /** Ask for the way when there is none, when roads have changed, or when we have left it. */
  async route(token: string): Promise<void> {
    const { here } = this;
    const goal = this.#goal;
    if (!goal || !here || this.#asking) return;
    if (this.#routed === goal.key) {
      if (this.way && !this.#failed && this.#off < OFF_FIXES) return;
      if (Date.now() - this.#asked_ms < ROUTE_EVERY_MS) return;
    }
    this.#asking = true;
    this.#asked_ms = Date.now();
    this.#routed = goal.key;
    this.#failed = false;
    try {
      const from = `from_lon=${here.lon}&from_lat=${here.lat}`;
      const path = `/api/v1/unit/route?${from}&to_lon=${goal.lon}&to_lat=${goal.lat}`;
      const way = await call<Way>("GET", path, undefined, { token });
      if (this.#goal?.lon === goal.lon && this.#goal.lat === goal.lat) this.way = way;
      this.#off = 0;
    } catch {
      this.#failed = true; // what we have stays on the screen; asked again when the line is back
    } finally {
      this.#asking = false;
    }
  }
}
