/** How one command is given: sent under a key, said when done, undone, and never silent when it is refused. */
import { command, Problem, type CommandAnswer } from "../lib/api";
import { L } from "../lib/lang.svelte";
import { wallTime } from "../lib/time";
import { differences, type Difference, type Seen } from "./difference";
import { Glance } from "./glance.svelte";
import { Said, type Toast } from "./said.svelte";
import { actorName } from "./timeline";
import { differenceWords } from "./words";

/** Something was decided on an incident that somebody has changed meanwhile. */
export interface Conflict {
  incident_id: string;
  by: string;
  at: string | null;
  rows: Difference[];
  /** Do it all the same, knowing this. */
  go: () => void;
  leave: () => void;
}

/** Longest wait for rows a command's answer speaks of: they normally come within 0.3 s. */
const ROWS_WAIT_MS = 1000;
/** Tries on a state that keeps moving in ways nobody needs to look at; after that a person looks. */
const RETRIES_MAX = 3;

/** A desk from which commands can be given. */
export class Commanding extends Glance {
  said = new Said();
  conflict = $state.raw<Conflict | null>(null);

  say(text: string, tone: Toast["tone"] = "plain", undo?: () => void, act?: Toast["act"]): void {
    this.said.say(text, tone, undo, act);
  }

  /**
   * Give a command; a refusal becomes a sentence on the screen, never a silence. `seen` is the incident as it was when the
   * operator began to decide: the server refuses what was decided on an older one, and the difference is shown. `done` may
   * wait for rows the answer speaks of.
   */
  async run(
    verb: string,
    body: Record<string, unknown>,
    done: string | null | ((answer: CommandAnswer) => Promise<string>),
    undo?: (answer: CommandAnswer) => void,
    seen?: Seen | null,
    again: { key: string; tries: number } = { key: crypto.randomUUID(), tries: 0 },
  ): Promise<CommandAnswer | null> {
    const pending = this.said.begin(undo !== undefined);
    try {
      const sent = seen ? { ...body, version: seen.incident.version } : body;
      const answer = await command(verb, sent, again.key);
      if (pending.unwanted) undo?.(answer);
      else if (done) {
        const text = typeof done === "string" ? done : await done(answer);
        this.say(text, "good", undo && (() => undo(answer)));
      }
      if (this.selected && this.history?.id === this.selected && body.incident_id === this.selected)
        void this.loadHistory(this.selected);
      return answer;
    } catch (error) {
      if (error instanceof Problem && error.code === "changed_meanwhile" && seen)
        return await this.#collide(error, verb, body, done, undo, seen, again.tries);
      if (error instanceof Problem && error.unreachable)
        // The same key: should it have arrived after all, the first answer comes again and nothing is done twice.
        this.say(
          L("Server tidak menjawab; belum pasti terkirim.", "The server does not answer; perhaps not sent."),
          "bad",
          undefined,
          {
            label: L("Kirim lagi", "Send again"),
            go: () => void this.run(verb, body, done, undo, seen, again),
          },
        );
      else this.refuse(error);
      return null;
    } finally {
      this.said.end(pending);
    }
  }

  /** The incident is not as it was: show what is different and let the operator decide again. */
  async #collide(
    error: Problem,
    verb: string,
    body: Record<string, unknown>,
    done: string | null | ((answer: CommandAnswer) => Promise<string>),
    undo: ((answer: CommandAnswer) => void) | undefined,
    seen: Seen,
    tries: number,
  ): Promise<CommandAnswer | null> {
    const id = seen.incident.incident_id;
    const version = Number((error.detail as { now?: number } | null)?.now ?? 0);
    await this.until(() => (this.live.world.incidents.get(id)?.version ?? 0) >= version);
    const now = this.glimpse(id);
    if (!now) return (this.refuse(error), null);
    const rows = differences(
      seen,
      now,
      differenceWords(this.region, (i) => this.placeName(i.place)),
    );
    const lines = (this.live.entries.get(id) ?? []).filter((e) => e.seq > seen.seq);
    const others = lines.filter((e) => actorName(e.actor) !== this.account.username);
    const again = () => this.run(verb, body, done, undo, now, { key: crypto.randomUUID(), tries: tries + 1 });
    // Only the machine's own figures moved, or we did it ourselves a moment ago: nothing for a person to look at.
    if (tries < RETRIES_MAX && (rows.length === 0 || (lines.length > 0 && others.length === 0))) return again();
    const last = others.at(-1);
    return new Promise((resolve) => {
      this.conflict = {
        incident_id: id,
        by: last ? actorName(last.actor) : L("orang lain", "somebody else"),
        at: last?.at ?? null,
        rows,
        go: () => {
          this.conflict = null;
          void again().then(resolve);
        },
        leave: () => {
          this.conflict = null;
          resolve(null);
        },
      };
    });
  }

  /** Wait a moment for rows that an answer speaks of: the stream brings them a little earlier or later. */
  protected async until(there: () => boolean): Promise<void> {
    for (let waited = 0; waited < ROWS_WAIT_MS && !there(); waited += 50)
      await new Promise((again) => setTimeout(again, 50));
  }

  refuse(error: unknown): void {
    if (!(error instanceof Problem)) throw error;
    if (error.status === 401) this.live.onForbidden();
    else if (error.code === "forbidden")
      this.say(L("Peran Anda tidak boleh melakukan ini", "Your role may not do this"), "bad");
    else if (error.code === "claimed") {
      const held = error.detail as { by?: string; until?: string } | null;
      const until = held?.until ? wallTime(Date.parse(held.until), this.region?.utc_offset_h ?? 7) : "";
      this.say(
        L(
          `Dipegang ${held?.by} sampai ${until}. Penyelia dapat mengambil alih.`,
          `Held by ${held?.by} until ${until}. A supervisor can take over.`,
        ),
        "bad",
      );
    } else this.say(error.title, "bad");
  }

  reason(title: string, presets: string[], confirm: string, hint = "", minimum = 3): Promise<string | null> {
    this.ask?.resolve(null);
    return new Promise((resolve) => {
      this.ask = {
        title,
        presets,
        confirm,
        hint,
        minimum,
        resolve: (text) => {
          this.ask = null;
          resolve(text);
        },
      };
    });
  }
}
