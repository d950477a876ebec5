/** Where we are on the way our own engine found: which turn comes next, and whether we have left it. Pure. */
import { metres } from "../lib/time";

export interface Turn {
  manoeuvre: string;
  name: string;
  length_m: number;
  eta_s: number;
  text_id: string;
  text_en: string;
}

export interface Way {
  eta_s: number;
  length_m: number;
  approximate: boolean;
  coordinates: [number, number][];
  steps: Turn[];
}

export interface Progress {
  /** How far beside the way. */
  off_m: number;
  /** Index of the turn that comes next, and the way to it. */
  next: number;
  to_next_m: number;
  left_m: number;
}

interface Point {
  lon: number;
  lat: number;
}

const M_PER_DEG = 111_195;

/** Nearest point of the way to `here`, in metres along it. */
export function progress(way: Way, here: Point): Progress {
  const across = M_PER_DEG * Math.cos((here.lat * Math.PI) / 180);
  let along_m = 0;
  let best = { off_m: Infinity, along_m: 0 };
  for (let i = 0; i + 1 < way.coordinates.length; i++) {
    const [ax, ay] = way.coordinates[i]!;
    const [bx, by] = way.coordinates[i + 1]!;
    const dx = (bx - ax) * across;
    const dy = (by - ay) * M_PER_DEG;
    const px = (here.lon - ax) * across;
    const py = (here.lat - ay) * M_PER_DEG;
    const length_m = Math.hypot(dx, dy);
    const share = length_m === 0 ? 0 : Math.min(1, Math.max(0, (px * dx + py * dy) / (length_m * length_m)));
    const off_m = Math.hypot(px - share * dx, py - share * dy);
    if (off_m < best.off_m) best = { off_m, along_m: along_m + share * length_m };
    along_m += length_m;
  }
  if (way.coordinates.length < 2) {
    const [lon, lat] = way.coordinates[0] ?? [here.lon, here.lat];
    best = { off_m: metres(here, { lon, lat }), along_m: 0 };
  }
  // A step's length is the road after its manoeuvre: the next manoeuvre stands where the lengths before it add up to.
  let at_m = 0;
  for (let next = 0; next < way.steps.length; next++) {
    if (next > 0 && at_m > best.along_m + 5)
      return { ...pick(best), next, to_next_m: at_m - best.along_m, left_m: along_m - best.along_m };
    at_m += way.steps[next]!.length_m;
  }
  const left_m = Math.max(0, along_m - best.along_m);
  return { ...pick(best), next: Math.max(0, way.steps.length - 1), to_next_m: left_m, left_m };
}

const pick = ({ off_m }: { off_m: number }) => ({ off_m });

/** An arrow for a manoeuvre; the words stand beside it. */
export function arrow(manoeuvre: string): string {
  if (manoeuvre === "arrive") return "◎";
  if (manoeuvre === "u_turn") return "⤺";
  if (manoeuvre === "slight_left") return "↖";
  if (manoeuvre === "slight_right") return "↗";
  if (manoeuvre.endsWith("left")) return "↰";
  if (manoeuvre.endsWith("right")) return "↱";
  return "↑";
}
