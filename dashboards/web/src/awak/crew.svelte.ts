/** The phone of one unit: its feed, its outbox, its alarm. Everything works without a line and catches up after. */
import { call, Problem } from "../lib/api";
import { time } from "../lib/clock.svelte";
import { L, lang } from "../lib/lang.svelte";
import { play } from "../lib/sound";
import { age, metres } from "../lib/time";
import { Line, type FeedMessage } from "./line";
import { kept, outbox } from "./outbox";
import { Pictures } from "./pictures.svelte";
import {
  clockError_s,
  fixInterval_s,
  isOver,
  mended,
  seenState,
  seenUnit,
  type Action,
  type CrewUnit,
  type Hospital,
  type Job,
  type Setup,
  type Step,
  type Verb,
  type Waiting,
} from "./steps";
import { askToBeWoken, renew, type Waking } from "./wake";
import { Where } from "./where.svelte";

const TOKEN = "siaga.token";
const UNDO_MS = 5000;
/** Inside this the phone asks "arrived?"; GPS in a street is good to 10-20 m. */
const ARRIVED_M = 70;
const ALARM_MS = 2600;
/** Mended actions remembered on the phone, with what their clock had said. */
const MENDED_MAX = 50;

export class Crew {
  token = $state(localStorage.getItem(TOKEN) ?? "");
  unit = $state.raw<CrewUnit | null>(null);
  job = $state.raw<Job | null>(null);
  waiting = $state.raw<Waiting | null>(null);
  setup = $state.raw<Setup | null>(null);
  hospitals = $state.raw<Hospital[]>([]);
  /** When the list was true, by the server's clock; 0: not known. */
  hospitals_ms = $state(0);
  queue = $state.raw<Action[]>([]);
  connected = $state(false);
  heard_ms = $state(0);
  notice = $state("");
  denied = $state(false);
  /** The same key is in use on another phone. */
  elsewhere = $state(false);
  waking = $state<Waking>("off");

  pictures = new Pictures();
  where = new Where((moving) => fixInterval_s(this.working ? this.state : null, moving));

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
    if (this.state !== "en_route" || !this.job || !this.where.here) return false;
    return metres(this.where.here, this.job.incident.place) <= ARRIVED_M;
  });

  #line: Line;
  #order = 0;
  #sending = false;
  #rings = true;
  #roads = "";
  #alarm: ReturnType<typeof setInterval> | undefined;
  #wake: { release: () => Promise<void> } | null = null;
  #proposed = "";
  #ready = "";
  #listed = "";

  constructor() {
    const link = new URLSearchParams(location.hash.slice(1));
    const code = link.get("daftar");
    const token = link.get("kode");
    if (code || token) history.replaceState(null, "", location.pathname);
    this.#line = new Line(() => this.token, {
      hear: (message) => this.#hear(message),
      connected: (yes) => {
        this.connected = yes;
        if (!yes) return;
        this.heard_ms = Date.now();
        this.denied = false;
        void this.#send();
      },
      denied: () => (this.denied = true),
    });
    if (code) void this.exchange(code);
    else if (token) this.enrol(token);
    void this.#restore();
    addEventListener("online", () => this.#open());
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "visible") {
        this.#open();
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
    this.#line.shut();
    this.token = token.trim();
    localStorage.setItem(TOKEN, this.token);
    void kept.set("token", this.token);
    this.denied = false;
    this.#open();
  }

  /** This phone again, although another one has taken over under the same key. */
  takeOver(): void {
    this.elsewhere = false;
    this.#open();
  }

  #open(): void {
    if (!this.elsewhere && !this.denied) this.#line.open();
  }

  async #restore(): Promise<void> {
    const [queue, picture, setup, hospitals, hospitals_ms] = await Promise.all([
      outbox.all(),
      kept.get<{ unit: CrewUnit; job: Job | null }>("picture"),
      kept.get<Setup>("setup"),
      kept.get<Hospital[]>("hospitals"),
      kept.get<number>("hospitals_ms"),
      this.pictures.restore(),
    ]);
    this.#order = Math.max(this.#order, queue.at(-1)?.order ?? 0);
    this.queue = [...queue, ...this.queue];
    this.setup ??= setup ?? null;
    if (this.hospitals.length === 0) {
      this.hospitals = hospitals ?? [];
      this.hospitals_ms = hospitals_ms ?? 0;
    }
    if (picture && !this.unit) {
      this.unit = picture.unit;
      this.job = picture.job;
    }
    if (this.token) this.#open();
  }

  // --- the feed

  #hear(message: FeedMessage): void {
    this.heard_ms = Date.now();
    if (message.at) time.hear(message.at);
    if (message.type === "elsewhere") {
      this.elsewhere = true;
      return;
    }
    if (message.type === "revoked") {
      this.denied = true;
      return;
    }
    if (message.roads !== undefined) this.#roads = message.roads;
    if (message.waiting !== undefined) this.waiting = message.waiting;
    if (message.unit) this.#present(message.unit, message.job ?? null, message.ring ?? true);
    this.#steer();
  }

  #present(unit: CrewUnit, job: Job | null, ring: boolean): void {
    const before = this.job?.assignment.assignment_id ?? null;
    const beforeState = this.state;
    const now = job?.assignment.assignment_id ?? null;
    this.unit = unit;
    this.job = job;
    this.#rings = ring;
    void kept.set("picture", { unit, job });
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
    }
    this.#ring();
    void this.#stayAwake();
    if (document.visibilityState === "visible") this.#receipt("seen");
    if (this.#ready !== this.token) void this.#prepare();
  }

  /** Once a start: what the day without a line needs, and whether we may be woken. */
  async #prepare(): Promise<void> {
    this.#ready = this.token;
    void kept.set("token", this.token);
    try {
      const setup = await call<Setup>("GET", "/api/v1/unit/setup", undefined, { token: this.token });
      this.setup = setup;
      void kept.set("setup", setup);
      void navigator.serviceWorker?.ready.then((worker) =>
        worker.active?.postMessage({ type: "district", tiles: setup.tiles }),
      );
      this.waking = await renew(this.token);
    } catch {
      this.#ready = ""; // no line: at the next message
    }
  }

  async wakeMe(): Promise<void> {
    this.waking = await askToBeWoken(this.token);
  }

  /** Sound and vibration until somebody presses a button; the unit's other phone may be the one that rings. */
  #ring(): void {
    const loud = this.state === "alerted" && this.#rings;
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

  /** To the scene, then to the hospital; a changed road makes the way void. */
  #steer(): void {
    const { job, state } = this;
    const to =
      !job || !state
        ? null
        : state === "alerted" || state === "acknowledged" || state === "en_route"
          ? job.incident.place
          : state === "transporting"
            ? this.hospital
            : null;
    this.where.head(to && { key: `${to.lon},${to.lat},${this.#roads}`, lon: to.lon, lat: to.lat });
  }

  /** Where the patient goes: told by the server, or chosen here and not yet sent. */
  get hospital(): Hospital | null {
    const chosen = this.queue.find((a) => a.verb === "report_transporting")?.body.hospital_id;
    return this.hospitals.find((h) => h.hospital_id === chosen) ?? this.job?.hospital ?? null;
  }

  /** Asked for at the scene, before the question comes up, and kept: the choice must work in a basement. */
  #listHospitals(): void {
    const id = this.job?.assignment.assignment_id ?? "";
    if (this.#listed === id || this.state !== "at_scene" || !this.connected) return;
    this.#listed = id;
    void this.askHospitals();
  }

  /** Again when the question comes up: the queues at their doors change. Without a line the list stays, with its age. */
  async askHospitals(): Promise<void> {
    try {
      const found = await call<Hospital[]>("GET", "/api/v1/unit/hospitals", undefined, { token: this.token });
      this.hospitals = found;
      this.hospitals_ms = time.exact_ms;
      void kept.set("hospitals", found);
      void kept.set("hospitals_ms", this.hospitals_ms);
    } catch {
      this.#listed = "";
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
      device_at: new Date(time.exact_ms).toISOString(),
      pressed_ms: Date.now(),
      offset_ms: time.offset_ms,
      send_at_ms: Date.now() + wait_ms,
    };
    this.queue = [...this.queue, action];
    if (verb !== "receipt_job") this.notice = "";
    navigator.vibrate?.(30);
    await outbox.add(action);
    this.#ring();
    this.#steer();
    void this.#send();
  }

  async undo(): Promise<void> {
    const action = this.pending;
    if (!action) return;
    this.queue = this.queue.filter((a) => a.key !== action.key);
    await outbox.remove(action.key);
    this.#ring();
    this.#steer();
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
    if (this.#sending || !this.token || this.denied) return;
    this.#sending = true;
    try {
      for (;;) {
        const action = this.queue[0];
        if (!action || action.send_at_ms > Date.now()) break;
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
          const ahead_s = clockError_s(error.code, error.detail);
          if (ahead_s !== null) {
            await this.#mend(action, ahead_s);
            continue;
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
    if (this.connected) await this.pictures.send(this.token);
  }

  /** The clock was wrong when this was pressed: send it with the true time, under a new key, and say so. */
  async #mend(refused: Action, ahead_s: number): Promise<void> {
    const before = this.queue;
    this.queue = mended(before, refused, ahead_s, time.offset_ms).map((a, i) =>
      a === before[i] ? a : { ...a, key: crypto.randomUUID() },
    );
    const changed = this.queue.filter((a, i) => a !== before[i]);
    for (const a of changed) await outbox.add(a);
    for (const [i, a] of before.entries()) if (this.queue[i] !== a) await outbox.remove(a.key);
    const known = (await kept.get<unknown[]>("mended")) ?? [];
    const said = changed.map(({ verb, said_at, device_at }) => ({ verb, said_at, device_at }));
    await kept.set("mended", [...known, ...said].slice(-MENDED_MAX));
    const by = age(Math.abs(ahead_s), lang.now === "en");
    this.notice = L(
      `Jam HP ini ${ahead_s > 0 ? "maju" : "mundur"} ${by}. Waktu langkah Anda sudah diperbaiki; setel jam HP.`,
      `This phone's clock is ${by} ${ahead_s > 0 ? "ahead" : "behind"}. Your steps' times are mended; set the clock.`,
    );
  }

  #tick(): void {
    const off = this.unitState === "off_duty" || !this.unit || !this.token;
    this.where.watch(off ? "off" : this.working || (this.where.here?.speed_mps ?? 0) > 1 ? "precise" : "coarse");
    void this.#send();
    this.#line.tick();
    if (this.connected && !off) void this.where.sendFixes(this.token);
    if (this.arrivedNearby && this.job && this.#proposed !== this.job.assignment.assignment_id) {
      this.#proposed = this.job.assignment.assignment_id;
      navigator.vibrate?.([80, 60, 80]);
      void this.put("report_at_scene", { assignment_id: this.#proposed, by: "geofence" });
    }
    this.#steer();
    if (this.connected) void this.where.route(this.token);
    this.#listHospitals();
  }
}
