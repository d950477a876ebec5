/** The phone of one unit: its feed, its outbox, its position. Everything works without a line and catches up after. */
import { call, Problem } from "../lib/api";
import { time } from "../lib/clock.svelte";
import { L } from "../lib/lang.svelte";
import { play } from "../lib/sound";
import { metres } from "../lib/time";
import { kept, outbox } from "./outbox";
import {
  fixInterval_s,
  isOver,
  seenState,
  seenUnit,
  type Action,
  type CrewUnit,
  type Job,
  type Step,
  type Verb,
} from "./steps";

const TOKEN = "siaga.token";
const UNDO_MS = 5000;
const RETRY_MS = [500, 1000, 2000, 4000, 8000];
/** The server says something at least every 10 s. */
const SILENT_MS = 25_000;
/** Eight hours at one fix in ten seconds; older ones are dropped first. */
const FIXES_MAX = 2880;
const FIXES_SENT_MAX = 100;
/** Inside this the phone asks "arrived?"; GPS in a street is good to 10-20 m. */
const ARRIVED_M = 70;
const ALARM_MS = 2600;

interface Fix {
  lon: number;
  lat: number;
  fixed_at: string;
  accuracy_m: number | null;
  speed_mps: number | null;
  heading_deg: number | null;
}

export interface Way {
  eta_s: number;
  length_m: number;
  approximate: boolean;
  coordinates: [number, number][];
  steps: Record<string, unknown>[];
}

interface FeedMessage {
  type: string;
  seq?: number;
  at?: string;
  unit?: CrewUnit;
  job?: Job | null;
}

export class Crew {
  token = $state(localStorage.getItem(TOKEN) ?? "");
  unit = $state.raw<CrewUnit | null>(null);
  job = $state.raw<Job | null>(null);
  queue = $state.raw<Action[]>([]);
  connected = $state(false);
  heard_ms = $state(0);
  notice = $state("");
  denied = $state(false);
  here = $state.raw<Fix | null>(null);
  gpsWrong = $state("");
  way = $state.raw<Way | null>(null);

  state = $derived(this.job ? seenState(this.job, this.queue) : null);
  unitState = $derived(this.unit ? seenUnit(this.unit, this.queue) : null);
  working = $derived(this.job !== null && this.state !== null && !isOver(this.state));
  /** The last action that can still be taken back, and until when. */
  pending = $derived.by(() => {
    void time.now_ms;
    const last = this.queue.at(-1);
    return last && last.send_at_ms > Date.now() && last.verb !== "receipt_job" ? last : null;
  });
  arrivedNearby = $derived.by(() => {
    if (this.state !== "en_route" || !this.job || !this.here) return false;
    return metres(this.here, this.job.incident.place) <= ARRIVED_M;
  });

  #socket: WebSocket | null = null;
  #tries = 0;
  #order = 0;
  #sending = false;
  #fixes: Fix[] = [];
  #lastFix_ms = 0;
  #alarm: ReturnType<typeof setInterval> | undefined;
  #wake: { release: () => Promise<void> } | null = null;
  #proposed = "";
  #routed = "";

  constructor() {
    const link = new URLSearchParams(location.hash.slice(1));
    const code = link.get("daftar");
    const token = link.get("kode");
    if (code || token) history.replaceState(null, "", location.pathname);
    if (code) void this.exchange(code);
    else if (token) this.enrol(token);
    void this.#restore();
    addEventListener("online", () => this.#connect());
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "visible") {
        this.#connect();
        void this.#stayAwake();
        this.#receipt("seen");
      }
    });
    setInterval(() => this.#tick(), 1000);
  }

  /** A one-time enrolment code becomes this device's key; what is no such code may be a key already. */
  async exchange(code: string): Promise<void> {
    try {
      const key = await call<{ token: string }>("POST", "/api/v1/unit/enrol", { code: code.trim() });
      this.enrol(key.token);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      if (error.code === "enrolment_invalid" && !code.includes("~")) this.enrol(code);
      else this.notice = error.title;
    }
  }

  enrol(token: string): void {
    this.token = token.trim();
    localStorage.setItem(TOKEN, this.token);
    this.denied = false;
    this.#connect();
    this.#watchPosition();
  }

  leave(): void {
    localStorage.removeItem(TOKEN);
    location.reload();
  }

  async #restore(): Promise<void> {
    this.queue = await outbox.all();
    this.#order = this.queue.at(-1)?.order ?? 0;
    const picture = await kept.get<{ unit: CrewUnit; job: Job | null }>("picture");
    if (picture && !this.unit) {
      this.unit = picture.unit;
      this.job = picture.job;
    }
    if (this.token) {
      this.#connect();
      this.#watchPosition();
    }
  }

  // --- the feed

  #connect(): void {
    if (!this.token || (this.#socket && this.#socket.readyState <= WebSocket.OPEN)) return;
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(`${scheme}//${location.host}/api/v1/unit/feed`, `siaga.token.${this.token}`);
    this.#socket = socket;
    let opened = false;
    socket.onopen = () => {
      opened = true;
      this.#tries = 0;
      this.connected = true;
      this.denied = false;
      this.heard_ms = Date.now();
      void this.#send();
    };
    socket.onmessage = (event) => this.#hear(JSON.parse(event.data as string) as FeedMessage);
    socket.onclose = () => {
      if (this.#socket !== socket) return;
      this.#socket = null;
      this.connected = false;
      if (!opened) void this.#ask();
      setTimeout(() => this.#connect(), RETRY_MS[Math.min(this.#tries++, RETRY_MS.length - 1)]);
    };
  }

  /** Where WebSockets do not pass, or to learn why they were refused: one ordinary request. */
  async #ask(): Promise<void> {
    try {
      this.#hear(await call<FeedMessage>("GET", "/api/v1/unit/feed/poll?after=0", undefined, { token: this.token }));
    } catch (error) {
      if (error instanceof Problem && error.status === 401) this.denied = true;
    }
  }

  #hear(message: FeedMessage): void {
    this.heard_ms = Date.now();
    if (message.at) time.hear(message.at);
    if (!message.unit) return;
    const before = this.job?.assignment.assignment_id ?? null;
    const beforeState = this.state;
    const now = message.job?.assignment.assignment_id ?? null;
    this.unit = message.unit;
    this.job = message.job ?? null;
    void kept.set("picture", { unit: message.unit, job: message.job ?? null });
    if (now !== before) {
      if (now) this.#receipt("delivered");
      if (
        before &&
        beforeState &&
        !isOver(beforeState) &&
        beforeState !== "at_hospital" &&
        !this.queue.some((a) => a.verb === "report_clear")
      )
        this.notice = now
          ? L("Tugas Anda diganti oleh pusat. Baca tugas baru.", "The centre changed your job. Read the new one.")
          : L("Tugas dibatalkan pusat. Anda siap lagi.", "The centre cancelled the job. You are available.");
      this.way = null;
      this.#routed = "";
    }
    this.#ring();
    void this.#stayAwake();
    if (document.visibilityState === "visible") this.#receipt("seen");
  }

  /** Sound and vibration until somebody presses a button. */
  #ring(): void {
    const loud = this.state === "alerted";
    if (loud && this.#alarm === undefined) {
      const once = () => {
        play("job");
        navigator.vibrate?.([400, 150, 400]);
      };
      once();
      this.#alarm = setInterval(once, ALARM_MS);
    } else if (!loud && this.#alarm !== undefined) {
      clearInterval(this.#alarm);
      this.#alarm = undefined;
      navigator.vibrate?.(0);
    }
  }

  async #stayAwake(): Promise<void> {
    const wanted = this.working && document.visibilityState === "visible";
    const lock = (
      navigator as { wakeLock?: { request: (kind: "screen") => Promise<{ release: () => Promise<void> }> } }
    ).wakeLock;
    try {
      if (wanted && !this.#wake && lock) this.#wake = await lock.request("screen");
      else if (!wanted && this.#wake) {
        await this.#wake.release();
        this.#wake = null;
      }
    } catch {
      this.#wake = null; // the phone may refuse on low battery
    }
  }

  // --- doing

  async press(step: Step, extra: Record<string, unknown> = {}): Promise<void> {
    const body: Record<string, unknown> = { assignment_id: this.job?.assignment.assignment_id, ...extra };
    if (step.verb === "report_at_scene") body.by = "button";
    await this.put(step.verb, body, step.undoable ? UNDO_MS : 0);
  }

  async put(verb: Verb, body: Record<string, unknown>, wait_ms = 0): Promise<void> {
    const action: Action = {
      key: crypto.randomUUID(),
      order: ++this.#order,
      verb,
      body,
      device_at: new Date(time.now_ms).toISOString(),
      send_at_ms: Date.now() + wait_ms,
    };
    this.queue = [...this.queue, action];
    if (verb !== "receipt_job") this.notice = "";
    navigator.vibrate?.(30);
    await outbox.add(action);
    this.#ring();
    void this.#send();
  }

  async undo(): Promise<void> {
    const action = this.pending;
    if (!action) return;
    this.queue = this.queue.filter((a) => a.key !== action.key);
    await outbox.remove(action.key);
    this.#ring();
  }

  #receipt(step: "delivered" | "seen"): void {
    const id = this.job?.assignment.assignment_id;
    if (!id || this.job?.assignment.state !== "alerted") return;
    const name = `siaga.receipt.${step}`;
    if (sessionStorage.getItem(name) === id) return;
    sessionStorage.setItem(name, id);
    void this.put("receipt_job", { assignment_id: id, step });
  }

  /** Send what is due, in order; stop at the first that gets no answer. */
  async #send(): Promise<void> {
    if (this.#sending || !this.token) return;
    this.#sending = true;
    try {
      for (;;) {
        const action = this.queue[0];
        if (!action || action.send_at_ms > Date.now()) return;
        try {
          await call(
            "POST",
            `/api/v1/unit/${action.verb}`,
            { ...action.body, device_at: action.device_at },
            { key: action.key, token: this.token },
          );
        } catch (error) {
          if (!(error instanceof Problem)) throw error;
          if (error.unreachable || error.status === 429) return;
          if (error.status === 401) {
            this.denied = true;
            return;
          }
          if (action.verb !== "receipt_job")
            this.notice = L(
              `Pusat tidak menerima langkah terakhir: ${error.title}. Ikuti layar ini.`,
              `The centre did not take your last step: ${error.title}. Follow this screen.`,
            );
        }
        await outbox.remove(action.key);
        this.queue = this.queue.filter((a) => a.key !== action.key);
      }
    } finally {
      this.#sending = false;
    }
  }

  #tick(): void {
    void this.#send();
    if (this.connected && Date.now() - this.heard_ms > SILENT_MS) this.#socket?.close();
    void this.#sendFixes();
    if (this.arrivedNearby && this.job && this.#proposed !== this.job.assignment.assignment_id) {
      this.#proposed = this.job.assignment.assignment_id;
      navigator.vibrate?.([80, 60, 80]);
      void this.put("report_at_scene", { assignment_id: this.#proposed, by: "geofence" });
    }
    void this.#route();
  }

  // --- where we are

  #watching = false;
  #watchPosition(): void {
    if (this.#watching || !("geolocation" in navigator)) return;
    this.#watching = true;
    navigator.geolocation.watchPosition(
      (p) => {
        this.gpsWrong = "";
        const fix: Fix = {
          lon: p.coords.longitude,
          lat: p.coords.latitude,
          fixed_at: new Date(time.now_ms).toISOString(),
          accuracy_m: p.coords.accuracy,
          speed_mps: p.coords.speed,
          heading_deg: Number.isFinite(p.coords.heading) ? p.coords.heading : null,
        };
        this.here = fix;
        const every = fixInterval_s(this.working ? this.state : null, (fix.speed_mps ?? 0) > 1) * 1000;
        if (this.unitState === "off_duty" || Date.now() - this.#lastFix_ms < every) return;
        this.#lastFix_ms = Date.now();
        this.#fixes.push(fix);
        if (this.#fixes.length > FIXES_MAX) this.#fixes.shift();
      },
      (error) =>
        (this.gpsWrong =
          error.code === 1
            ? L("Izin lokasi belum diberikan", "Location is not allowed")
            : L("GPS belum dapat posisi", "No GPS position")),
      { enableHighAccuracy: true, maximumAge: 2000 },
    );
  }

  #fixing = false;
  async #sendFixes(): Promise<void> {
    if (this.#fixing || this.#fixes.length === 0 || !this.connected) return;
    this.#fixing = true;
    const batch = this.#fixes.slice(0, FIXES_SENT_MAX);
    try {
      await call("POST", "/api/v1/unit/fixes", { fixes: batch }, { token: this.token });
      this.#fixes.splice(0, batch.length);
    } catch (error) {
      // Refused as a whole: sending the same again would not help.
      if (error instanceof Problem && error.status === 422) this.#fixes.splice(0, batch.length);
    } finally {
      this.#fixing = false;
    }
  }

  /** The way to the scene, asked once a job and again when we have left it far behind. */
  async #route(): Promise<void> {
    const job = this.job;
    if (
      !job ||
      !this.here ||
      !this.connected ||
      (this.state !== "en_route" && this.state !== "alerted" && this.state !== "acknowledged")
    )
      return;
    const off =
      this.way && Math.min(...this.way.coordinates.map(([lon, lat]) => metres(this.here!, { lon, lat }))) > 250;
    const key = job.assignment.assignment_id;
    if (this.#routed === key && !off) return;
    this.#routed = key;
    const p = job.incident.place;
    try {
      this.way = await call<Way>(
        "GET",
        `/api/v1/unit/route?from_lon=${this.here.lon}&from_lat=${this.here.lat}&to_lon=${p.lon}&to_lat=${p.lat}`,
        undefined,
        { token: this.token },
      );
    } catch {
      this.way = null;
    }
  }
}
