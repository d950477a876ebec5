/** What the desk has just said, and what `u` takes back. */
import { L } from "../lib/lang.svelte";

export interface Toast {
  id: number;
  text: string;
  tone: "plain" | "bad" | "good";
  undo?: () => void;
  /** Something else than undo that can be pressed. */
  act?: { label: string; go: () => void };
}

/** A command whose answer has not come yet. */
export interface Pending {
  undoable: boolean;
  /** `u` was pressed meanwhile: what it does is taken back as soon as it is done. */
  unwanted: boolean;
}

const TOAST_MS = 9000;
/** Something to press that is not undo waits longer: it stands for work that is not done. */
const ACT_MS = 30_000;
const TOASTS_MAX = 4;

export class Said {
  toasts = $state.raw<Toast[]>([]);
  #id = 0;
  #pending: Pending[] = [];

  say(text: string, tone: Toast["tone"] = "plain", undo?: () => void, act?: Toast["act"]): void {
    const toast: Toast = { id: ++this.#id, text, tone, undo, act };
    this.toasts = [...this.toasts.slice(1 - TOASTS_MAX), toast];
    setTimeout(() => this.dismiss(toast.id), act ? ACT_MS : TOAST_MS);
  }

  dismiss(id: number): void {
    this.toasts = this.toasts.filter((t) => t.id !== id);
  }

  /** A command leaves; `end` it when the answer is there. */
  begin(undoable: boolean): Pending {
    const pending = { undoable, unwanted: false };
    this.#pending.push(pending);
    return pending;
  }

  end(pending: Pending): void {
    this.#pending = this.#pending.filter((p) => p !== pending);
  }

  /** Take back the latest thing, also when its answer is still under way; never the thing before it. */
  undoLast(): void {
    const pending = this.#pending.at(-1);
    if (pending?.unwanted) return;
    if (pending?.undoable) {
      pending.unwanted = true;
      return this.say(L("Diurungkan begitu server menjawab", "Undone as soon as the server answers"));
    }
    if (pending)
      return this.say(
        L(
          "Masih dikirim, dan tidak dapat diurungkan. Yang sebelumnya tetap.",
          "Still under way, and cannot be undone.",
        ),
      );
    const toast = [...this.toasts].reverse().find((t) => t.undo);
    if (!toast) return this.say(L("Tidak ada yang bisa diurungkan", "Nothing to undo"));
    this.dismiss(toast.id);
    toast.undo?.();
  }
}
