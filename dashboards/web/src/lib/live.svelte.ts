/** The console's line to the server: one WebSocket, resumed where it broke, with an honest opinion of its own age. */
import { applyChanges, applyPositions, emptyWorld, forgetEnded, fromSnapshot, subjects, type World } from "./fold";
import { time } from "./clock.svelte";
import type { Entry, StreamMessage, Who } from "./types";

/** The server speaks at least every 5 s (docs/api.md); two silences in a row mean the line is dead. */
export const STALE_AFTER_MS = 11_000;
/** Close code of a stream whose session has ended or lost its rights. */
const SIGNED_OUT = 4401;
const RETRY_MS = [250, 500, 1000, 2000, 4000];
/** Timeline lines kept per subject while the stream runs; the full history is one request away. */
const ENTRIES_MAX = 200;

export class Live {
  world: World = emptyWorld();
  /** Bumped on every change of rows; read it to depend on them. */
  rev = $state(0);
  /** Bumped only when a unit or an assignment changed: a thousand units are not sorted anew for a word in an incident. */
  unitRev = $state(0);
  /** Bumped on every batch of positions. */
  moves = $state(0);
  ready = $state(false);
  connected = $state(false);
  degraded = $state(false);
  heard_ms = $state(Date.now());
  presence = $state.raw<Who[]>([]);
  /** Lines seen on the stream, by the incident, report or assignment they speak of. */
  entries = new Map<string, Entry[]>();
  onEntry: (entry: Entry) => void = () => {};
  /** After every message. */
  onMessage: () => void = () => {};
  onForbidden: () => void = () => {};
  onRefused: () => void = () => {};

  #socket: WebSocket | null = null;
  #tries = 0;
  #stopped = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #watch: ReturnType<typeof setInterval> | undefined;
  #due = { rows: false, units: false, moves: false };
  #frame = 0;

  constructor(readonly path: string) {}

  start(): void {
    this.#stopped = false;
    this.#open();
    this.#watch = setInterval(() => {
      const gone = forgetEnded(this.world, time.now_ms);
      for (const id of gone) this.entries.delete(id);
      // A half-open connection looks alive to the browser for minutes: close it ourselves.
      if (this.connected && Date.now() - this.heard_ms > STALE_AFTER_MS) this.#socket?.close();
    }, 2000);
    addEventListener("online", this.#now);
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    clearInterval(this.#watch);
    removeEventListener("online", this.#now);
    this.#socket?.close();
  }

  /** Tell the others what this operator looks at. */
  look(incident_id: string | null, typing: boolean): void {
    if (this.#socket?.readyState === WebSocket.OPEN)
      this.#socket.send(JSON.stringify({ type: "presence", incident_id, typing }));
  }

  #now = (): void => {
    if (this.connected || this.#stopped) return;
    clearTimeout(this.#timer);
    this.#open();
  };

  #open(): void {
    if (this.#socket && this.#socket.readyState <= WebSocket.OPEN) return;
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    const after = this.world.seq > 0 ? `?after=${this.world.seq}` : "";
    const socket = new WebSocket(`${scheme}//${location.host}${this.path}${after}`);
    this.#socket = socket;
    let opened = false;
    socket.onopen = () => {
      opened = true;
      this.#tries = 0;
      this.connected = true;
      this.heard_ms = Date.now();
    };
    socket.onmessage = (event) => {
      this.#hear(JSON.parse(event.data as string) as StreamMessage);
      if (document.hidden) time.tick();
      this.onMessage();
    };
    socket.onclose = (event) => {
      if (this.#socket !== socket) return;
      if (event.code === SIGNED_OUT) {
        this.stop();
        this.onForbidden();
      }
      this.connected = false;
      this.#socket = null;
      // A browser does not tell why a handshake failed: ask over HTTP whether we are still signed in.
      if (!opened) this.onRefused();
      if (!this.#stopped) {
        const wait = RETRY_MS[Math.min(this.#tries++, RETRY_MS.length - 1)]!;
        this.#timer = setTimeout(() => this.#open(), wait);
      }
    };
  }

  #hear(message: StreamMessage): void {
    this.heard_ms = Date.now();
    switch (message.type) {
      case "snapshot":
        this.world = fromSnapshot(message);
        time.hear(message.at);
        this.ready = true;
        this.#tell({ rows: true, units: true, moves: true });
        break;
      case "changes": {
        const outcome = applyChanges(this.world, message);
        if (outcome === "gap") {
          this.#socket?.close();
        } else if (outcome === "applied") {
          time.hear(message.at);
          for (const entry of message.entries ?? []) this.#keep(entry);
          this.#tell({ rows: true, units: Boolean(message.units?.length || message.assignments?.length) });
        }
        break;
      }
      case "positions":
        applyPositions(this.world, message.positions);
        this.#tell({ moves: true });
        break;
      case "presence":
        this.presence = message.who;
        break;
      case "status":
        this.degraded = message.degraded;
        if (message.at) time.hear(message.at);
        break;
    }
  }

  /**
   * Let the screen know, once a frame: a second's rows, positions and clock are then drawn together. A hidden page has no
   * frames, yet must ring: it is told at once.
   */
  #tell(what: { rows?: boolean; units?: boolean; moves?: boolean }): void {
    this.#due.rows ||= what.rows === true;
    this.#due.units ||= what.units === true;
    this.#due.moves ||= what.moves === true;
    if (document.hidden) this.#flush();
    else this.#frame ||= requestAnimationFrame(this.#flush);
  }

  #flush = (): void => {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    if (this.#due.rows) this.rev++;
    if (this.#due.units) this.unitRev++;
    if (this.#due.moves) this.moves++;
    this.#due = { rows: false, units: false, moves: false };
  };

  #keep(entry: Entry): void {
    for (const id of subjects(entry)) {
      const list = this.entries.get(id) ?? [];
      list.push(entry);
      if (list.length > ENTRIES_MAX) list.shift();
      this.entries.set(id, list);
    }
    this.onEntry(entry);
  }
}
