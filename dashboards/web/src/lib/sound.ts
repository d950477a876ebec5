/** Sounds a dispatcher can tell apart without looking. Made on the spot: nothing to load, nothing to license. */

export type Cue = "call" | "unanswered" | "new" | "risk" | "noack" | "silent" | "job";

/** [frequency Hz, start s, length s] per note. */
export const TUNES: Record<Cue, [number, number, number][]> = {
  call: [
    [660, 0, 0.12],
    [880, 0.14, 0.16],
  ],
  unanswered: [
    [880, 0, 0.1],
    [660, 0.12, 0.1],
    [880, 0.24, 0.1],
    [660, 0.36, 0.14],
  ],
  risk: [
    [440, 0, 0.14],
    [554, 0.16, 0.14],
    [740, 0.32, 0.26],
  ],
  noack: [
    [330, 0, 0.2],
    [330, 0.28, 0.2],
  ],
  // One soft rising pair: news, not danger.
  new: [
    [523, 0, 0.1],
    [784, 0.12, 0.18],
  ],
  // A falling wail, like nothing else here: people may be in danger.
  silent: [
    [988, 0, 0.18],
    [740, 0.2, 0.18],
    [494, 0.4, 0.4],
  ],
  job: [
    [740, 0, 0.16],
    [988, 0.18, 0.16],
    [740, 0.36, 0.16],
    [988, 0.54, 0.3],
  ],
};

let context: AudioContext | null = null;

const KEY = "siaga.volume";

export function volume(): number {
  const kept = Number.parseFloat(localStorage.getItem(KEY) ?? "0.6");
  return Number.isFinite(kept) ? Math.min(1, Math.max(0, kept)) : 0.6;
}

export function setVolume(value: number): void {
  localStorage.setItem(KEY, String(value));
}

/** Browsers keep silent until the person has touched the page: call this from a click or key. */
export function wake(): void {
  context ??= new AudioContext();
  if (context.state === "suspended") void context.resume();
}

export function audible(): boolean {
  return context?.state === "running" && volume() > 0;
}

export function play(cue: Cue): void {
  if (!context || context.state !== "running") return;
  const loud = volume();
  if (loud === 0) return;
  for (const [hz, start, length] of TUNES[cue]) {
    const at = context.currentTime + start;
    const tone = context.createOscillator();
    const gain = context.createGain();
    tone.type = "triangle";
    tone.frequency.value = hz;
    gain.gain.setValueAtTime(0, at);
    gain.gain.linearRampToValueAtTime(0.35 * loud, at + 0.015);
    gain.gain.exponentialRampToValueAtTime(0.001, at + length);
    tone.connect(gain).connect(context.destination);
    tone.start(at);
    tone.stop(at + length + 0.02);
  }
}
