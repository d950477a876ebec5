/** Where this phone is, how often it says so, and the way our own engine found from there. */
import { call, Problem } from "../lib/api";
import { time } from "../lib/clock.svelte";
import { L } from "../lib/lang.svelte";
import { progress, type Way } from "./route";

export interface Fix {
  lon: number;
  lat: number;
  accuracy_m: number | null;
  speed_mps: number | null;
  heading_deg: number | null;
}

/** With the phone's own clock: what it is off by is known when the fix is sent, perhaps not when it is taken. */
type Kept = Fix & { at_ms: number };

/** Eight hours at one fix in ten seconds; older ones are dropped first. */
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
  #fixes: Kept[] = [];
  #last_ms = 0;
  #sending = false;

  constructor(private readonly every_s: (moving: boolean) => number) {}

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
    this.#fixes.push({ ...fix, at_ms: Date.now() });
    if (this.#fixes.length > FIXES_MAX) this.#fixes.shift();
  }

  async sendFixes(token: string): Promise<void> {
    if (this.#sending || this.#fixes.length === 0) return;
    this.#sending = true;
    const batch = this.#fixes.slice(0, FIXES_SENT_MAX);
    const fixes = batch.map(({ at_ms, ...fix }) => ({
      ...fix,
      fixed_at: new Date(at_ms + time.offset_ms).toISOString(),
    }));
    try {
      await call("POST", "/api/v1/unit/fixes", { fixes }, { token });
      this.#fixes.splice(0, batch.length);
    } catch (error) {
      // Refused as a whole: sending the same again would not help.
      if (error instanceof Problem && error.status === 422) this.#fixes.splice(0, batch.length);
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
