/** Pictures of the scene: made small on the phone, kept until there is a line, sent after every step. */
import { call, Problem } from "../lib/api";
import { time } from "../lib/clock.svelte";
import { pictures, type Picture } from "./outbox";
import { clockError_s } from "./steps";

/** As the server keeps them (dispatch/photos.py): sending more would be thrown away there. */
const SIDE_PX = 1600;
const QUALITY = 0.8;
const SEND_MS = 90_000;
/** About 10 MB on the phone; the server takes 24 an incident. */
const WAITING_MAX = 24;

export class Pictures {
  waiting = $state.raw<Picture[]>([]);
  /** Assignment -> how many the server has. */
  sent = $state.raw<Record<string, number>>({});
  wrong = $state("");
  #sending = false;

  async restore(): Promise<void> {
    this.waiting = await pictures.all();
  }

  async take(file: Blob, assignment_id: string): Promise<void> {
    this.wrong = "";
    if (this.waiting.length >= WAITING_MAX) {
      this.wrong = "full";
      return;
    }
    let blob: Blob;
    try {
      blob = await small(file);
    } catch {
      this.wrong = "unreadable";
      return;
    }
    const order = (this.waiting.at(-1)?.order ?? 0) + 1;
    const device_at = new Date(time.exact_ms).toISOString();
    const picture = { key: crypto.randomUUID(), order, assignment_id, device_at, blob };
    this.waiting = [...this.waiting, picture];
    await pictures.add(picture);
  }

  /** One after the other; what the server refuses is said and not tried again. */
  async send(token: string): Promise<void> {
    if (this.#sending) return;
    this.#sending = true;
    try {
      for (let next = this.waiting[0]; next; next = this.waiting[0]) {
        try {
          await call("POST", address(next), next.blob, { key: next.key, token, timeout_ms: SEND_MS });
          this.sent = { ...this.sent, [next.assignment_id]: (this.sent[next.assignment_id] ?? 0) + 1 };
        } catch (error) {
          if (!(error instanceof Problem)) throw error;
          if (error.unreachable || error.status === 429 || error.status === 401) return;
          const ahead_s = clockError_s(error.code, error.detail);
          if (ahead_s !== null) {
            await this.#mend(next, ahead_s);
            continue;
          }
          this.wrong = error.title;
        }
        const { key } = next;
        this.waiting = this.waiting.filter((p) => p.key !== key);
        await pictures.remove(key);
      }
    } finally {
      this.#sending = false;
    }
  }

  /** Taken while the clock was wrong: say the server's time instead. */
  async #mend(picture: Picture, ahead_s: number): Promise<void> {
    const device_at = new Date(Date.parse(picture.device_at) - ahead_s * 1000).toISOString();
    const mended = { ...picture, key: crypto.randomUUID(), device_at };
    this.waiting = this.waiting.map((p) => (p.key === picture.key ? mended : p));
    await pictures.add(mended);
    await pictures.remove(picture.key);
  }
}

const address = (p: Picture): string =>
  `/api/v1/unit/photos?${new URLSearchParams({ assignment_id: p.assignment_id, device_at: p.device_at }).toString()}`;

/** Re-encoded on the phone: a tenth of the bytes, and the camera's own notes stay here. */
async function small(file: Blob): Promise<Blob> {
  const bitmap = await createImageBitmap(file);
  const scale = Math.min(1, SIDE_PX / Math.max(bitmap.width, bitmap.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.round(bitmap.width * scale);
  canvas.height = Math.round(bitmap.height * scale);
  canvas.getContext("2d")?.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  return new Promise((resolve, reject) =>
    canvas.toBlob((b) => (b ? resolve(b) : reject(new Error("canvas"))), "image/jpeg", QUALITY),
  );
}
