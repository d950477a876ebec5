/** The line to the centre: a web socket; where none gets through, one long poll after the other. */
import { call, Problem } from "../lib/api";
import type { CrewUnit, Job, Waiting } from "./steps";

export interface FeedMessage {
  type: "hello" | "job" | "status" | "elsewhere" | "revoked";
  seq?: number;
  at?: string;
  unit?: CrewUnit;
  job?: Job | null;
  ring?: boolean;
  roads?: string;
  waiting?: Waiting | null;
}

interface Ears {
  hear: (message: FeedMessage) => void;
  connected: (yes: boolean) => void;
  /** The key opens nothing (any more). */
  denied: () => void;
}

const RETRY_MS = [500, 1000, 2000, 4000, 8000];
/** While long polls carry the job, a socket is tried rarely: each try costs battery. */
const RETRY_POLLING_MS = 30_000;
/** The server says something at least every 10 s over a socket. */
const SILENT_MS = 25_000;
/** It answers a long poll after 25 s at the latest. */
const POLL_MS = 35_000;

export class Line {
  #socket: WebSocket | null = null;
  #polling: AbortController | null = null;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #tries = 0;
  #seq = 0;
  #heard_ms = 0;
  #shut = true;

  constructor(
    private readonly token: () => string,
    private readonly ears: Ears,
  ) {}

  /** Open it, or make sure that it is open. */
  open(): void {
    this.#shut = false;
    if (!this.token() || (this.#socket && this.#socket.readyState <= WebSocket.OPEN)) return;
    clearTimeout(this.#retry);
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(`${scheme}//${location.host}/api/v1/unit/feed`, `siaga.token.${this.token()}`);
    this.#socket = socket;
    let opened = false;
    socket.onopen = () => {
      opened = true;
      this.#tries = 0;
      this.#heard_ms = Date.now();
      this.#polling?.abort();
      this.ears.connected(true);
    };
    socket.onmessage = (event) => this.#take(JSON.parse(event.data as string) as FeedMessage);
    socket.onclose = () => {
      if (this.#socket !== socket) return;
      this.#socket = null;
      if (!this.#polling) this.ears.connected(false);
      if (this.#shut) return;
      if (!opened) void this.#poll();
      const wait_ms = this.#polling ? RETRY_POLLING_MS : RETRY_MS[Math.min(this.#tries++, RETRY_MS.length - 1)];
      this.#retry = setTimeout(() => this.open(), wait_ms);
    };
  }

  /** Hang up until `open` is called again. */
  shut(): void {
    this.#shut = true;
    clearTimeout(this.#retry);
    this.#polling?.abort();
    this.#socket?.close();
  }

  /** Called every second: a socket that has died without a word is given up. */
  tick(): void {
    if (this.#socket?.readyState === WebSocket.OPEN && Date.now() - this.#heard_ms > SILENT_MS) this.#socket.close();
  }

  #take(message: FeedMessage): void {
    this.#heard_ms = Date.now();
    if (message.seq !== undefined) this.#seq = message.seq;
    if (message.type === "elsewhere" || message.type === "revoked") this.shut();
    this.ears.hear(message);
  }

  /** A socket that never opened: the network lets none through, the key is refused, or there is no network. Asking tells which. */
  async #poll(): Promise<void> {
    if (this.#polling) return;
    const polling = (this.#polling = new AbortController());
    let after = 0; // the first is answered at once
    try {
      while (!polling.signal.aborted) {
        const options = { token: this.token(), timeout_ms: POLL_MS, signal: polling.signal };
        const path = `/api/v1/unit/feed/poll?after=${after}`;
        const message = await call<FeedMessage>("GET", path, undefined, options);
        if (polling.signal.aborted) break;
        this.ears.connected(true);
        this.#take(message);
        after = this.#seq;
      }
    } catch (error) {
      if (error instanceof Problem && error.status === 401) {
        this.shut();
        this.ears.denied();
      }
    } finally {
      this.#polling = null;
      if (this.#socket?.readyState !== WebSocket.OPEN) this.ears.connected(false);
    }
  }
}
