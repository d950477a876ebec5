/**
 * Everything that moves, drawn on one canvas above the base map: units, incidents with their clocks, ETA lines.
 *
 * A canvas rather than map layers because a thousand units move every second and each mark is small typography, which
 * sprites draw sharply at any zoom for the price of one `drawImage`.
 */
import type { Map as BaseMap } from "maplibre-gl";
import type { Tone } from "../danger";
import { drawHindrance, drawHospital, drawPull, type HindranceMark, type HospitalMark } from "./ground";

export type UnitLook = "free" | "alerted" | "rolling" | "scene" | "transport" | "out" | "off";

export interface UnitMark {
  id: string;
  letter: string;
  look: UnitLook;
  lon: number;
  lat: number;
  heading_deg: number | null;
  moving: boolean;
  stale: boolean;
}

export interface IncidentMark {
  id: string;
  label: string;
  lon: number;
  lat: number;
  priority: number;
  tone: Tone;
  /** Share of the target already used, may exceed 1. */
  used: number;
  accuracy_m: number | null;
}

export interface LineMark {
  from: string;
  lon: number;
  lat: number;
  solid: boolean;
  late: boolean;
}

export interface PointMark {
  id: string;
  label: string;
  lon: number;
  lat: number;
}

export interface Scene {
  units: UnitMark[];
  incidents: IncidentMark[];
  lines: LineMark[];
  points: PointMark[];
  selectedIncident: string | null;
  selectedUnit: string | null;
  /** Route geometry in lon/lat, drawn under everything else. */
  route?: [number, number][];
  hindrances?: HindranceMark[];
  hospitals?: HospitalMark[];
  /** A replay jumps through time: marks stand where they are told at once. */
  instant?: boolean;
}

/** A unit under way by mouse, to a point of the canvas. */
export interface Pull {
  unit: string;
  x: number;
  y: number;
  lands: boolean;
}

export type Hit = { type: "incident" | "unit"; id: string } | null;

interface Track {
  x0: number;
  y0: number;
  x1: number;
  y1: number;
  from_ms: number;
}

/** Fixes come once a second; a mark glides for a little less, so it never lags behind the next. */
const GLIDE_MS = 900;
/** A jump longer than this is a new place, not a drive: about 1.5 km in mercator units. */
const JUMP = 3.7e-5;
/** Gliding is drawn this often: a vehicle covers about a metre in it, less than a pixel at most zooms. */
const FRAME_MS = 80;
/** A move shorter than this is not worth a glide. */
const GLIDE_PX = 2;
/** Frames that come this far apart while something glides: the machine is busy, and keys matter more than gliding. */
const SLOW_FRAME_MS = 50;
/** After that marks jump from fix to fix for this long; then it is tried again. */
const REST_MS = 30_000;

export const mercX = (lon: number): number => (lon + 180) / 360;
export const mercY = (lat: number): number => {
  const s = Math.sin((lat * Math.PI) / 180);
  return 0.5 - Math.log((1 + s) / (1 - s)) / (4 * Math.PI);
};

interface Palette {
  text: string;
  muted: string;
  panel: string;
  bg: string;
  line: string;
  accent: string;
  onAccent: string;
  ok: string;
  risk: string;
  late: string;
  info: string;
}

export class Overlay {
  scene: Scene = { units: [], incidents: [], lines: [], points: [], selectedIncident: null, selectedUnit: null };
  #canvas: HTMLCanvasElement;
  #pen: CanvasRenderingContext2D;
  #tracks = new Map<string, Track>();
  #sprites = new Map<string, HTMLCanvasElement>();
  #palette!: Palette;
  #frame = 0;
  #last_ms = 0;
  #until_ms = 0;
  /** When the last frame was asked for or drawn, and how far apart frames come; see `tired`. */
  #asked_ms = 0;
  #gap_ms = 0;
  #rest_until_ms = 0;
  #rem = 16;
  #still = matchMedia("(prefers-reduced-motion: reduce)");
  #resizer: ResizeObserver;
  /** Boxes of the labels drawn so far in this frame: a label that would cover another is left out. */
  #labels: [number, number, number, number][] = [];
  #pull: Pull | null = null;

  constructor(
    readonly map: BaseMap,
    host: HTMLElement,
  ) {
    this.#canvas = document.createElement("canvas");
    this.#canvas.className = "overlay";
    this.#canvas.setAttribute("aria-hidden", "true");
    host.append(this.#canvas);
    // Drawn by the CPU: control rooms have screens without a graphics card, and a thousand small sprites cost it little.
    this.#pen = this.#canvas.getContext("2d", { willReadFrequently: true })!;
    this.recolour();
    this.#resizer = new ResizeObserver(() => this.#resize());
    this.#resizer.observe(host);
    this.#resize();
    map.on("render", this.#rendered); // in the frame that moves the map, so marks and streets move together
  }

  /** Whether this machine draws so slowly that nothing should fly or glide for a while. */
  get tired(): boolean {
    return performance.now() < this.#rest_until_ms;
  }

  #rendered = (): void => {
    this.#watch(performance.now());
    this.#drawNow();
  };

  #watch(now: number): void {
    const gap = now - this.#asked_ms;
    this.#asked_ms = now;
    if (gap > 1000) return; // nothing was moving before
    this.#gap_ms += 0.15 * (gap - this.#gap_ms);
    if (this.#gap_ms <= SLOW_FRAME_MS) return;
    this.#gap_ms = 0;
    this.#until_ms = 0;
    this.#rest_until_ms = now + REST_MS;
  }

  destroy(): void {
    cancelAnimationFrame(this.#frame);
    this.#resizer.disconnect();
    this.map.off("render", this.#rendered);
    this.#canvas.remove();
  }

  /** Read the theme's tokens again. */
  recolour(): void {
    const style = getComputedStyle(document.documentElement);
    const v = (name: string) => style.getPropertyValue(name).trim();
    this.#rem = Number.parseFloat(style.fontSize) || 16;
    this.#palette = {
      text: v("--text"),
      muted: v("--muted"),
      panel: v("--panel"),
      bg: v("--bg"),
      line: v("--line-strong"),
      accent: v("--accent"),
      onAccent: v("--on-accent"),
      ok: v("--ok"),
      risk: v("--risk"),
      late: v("--late"),
      info: v("--info"),
    };
    this.#sprites.clear();
    this.#drawNow();
  }

  show(scene: Scene): void {
    this.scene = scene;
    const now = performance.now();
    const seen = new Set<string>();
    const still = this.#still.matches || scene.instant === true || this.tired;
    const size = 512 * 2 ** this.map.getZoom();
    for (const u of scene.units) {
      seen.add(u.id);
      const x = mercX(u.lon);
      const y = mercY(u.lat);
      const t = this.#tracks.get(u.id);
      if (!t) this.#tracks.set(u.id, { x0: x, y0: y, x1: x, y1: y, from_ms: now });
      else if (t.x1 !== x || t.y1 !== y) {
        const far = Math.hypot(x - t.x1, y - t.y1);
        const glide = !still && far <= JUMP && far * size > GLIDE_PX;
        const [cx, cy] = glide ? this.#at(t, now) : [x, y];
        Object.assign(t, { x0: cx, y0: cy, x1: x, y1: y, from_ms: now });
        if (glide) this.#until_ms = now + GLIDE_MS;
      }
    }
    for (const id of this.#tracks.keys()) if (!seen.has(id)) this.#tracks.delete(id);
    this.#schedule();
  }

  /** Show a unit being dragged; null when it was let go. */
  pull(pull: Pull | null): void {
    this.#pull = pull;
    this.#drawNow();
  }

  /** What lies under a point of the canvas, incidents before units. */
  hit(px: number, py: number): Hit {
    const to = this.#projector();
    const reach = 1.1 * this.#rem;
    let best: Hit = null;
    let near = reach * reach;
    for (const i of this.scene.incidents) {
      const [x, y] = to(mercX(i.lon), mercY(i.lat));
      const d = (x - px) ** 2 + (y - py) ** 2;
      if (d < near) [best, near] = [{ type: "incident", id: i.id }, d];
    }
    if (best) return best;
    near = (0.8 * this.#rem) ** 2;
    const now = performance.now();
    for (const u of this.scene.units) {
      const t = this.#tracks.get(u.id);
      if (!t) continue;
      const [x, y] = to(...this.#at(t, now));
      const d = (x - px) ** 2 + (y - py) ** 2;
      if (d < near) [best, near] = [{ type: "unit", id: u.id }, d];
    }
    return best;
  }

  #at(t: Track, now: number): [number, number] {
    const f = Math.min(1, (now - t.from_ms) / GLIDE_MS);
    return [t.x0 + (t.x1 - t.x0) * f, t.y0 + (t.y1 - t.y0) * f];
  }

  /** Mercator 0..1 -> canvas CSS pixels; valid because the map neither turns nor tilts. */
  #projector(): (x: number, y: number) => [number, number] {
    const size = 512 * 2 ** this.map.getZoom();
    const c = this.map.getCenter();
    const cx = mercX(c.lng);
    const cy = mercY(c.lat);
    const w = this.#canvas.clientWidth / 2;
    const h = this.#canvas.clientHeight / 2;
    return (x, y) => [(x - cx) * size + w, (y - cy) * size + h];
  }

  #resize(): void {
    const ratio = Math.min(devicePixelRatio || 1, 2);
    this.#canvas.width = Math.round(this.#canvas.clientWidth * ratio);
    this.#canvas.height = Math.round(this.#canvas.clientHeight * ratio);
    this.#drawNow();
  }

  #schedule(): void {
    if (this.#frame) return;
    this.#frame = requestAnimationFrame((now) => {
      this.#frame = 0;
      if (now < this.#until_ms) this.#watch(now);
      const gliding = now < this.#until_ms;
      if (!gliding || now - this.#last_ms >= FRAME_MS) this.#draw(now);
      if (gliding) this.#schedule();
    });
  }

  #drawNow = (): void => this.#draw(performance.now());

  #draw(now: number): void {
    this.#last_ms = now;
    const pen = this.#pen;
    const ratio = this.#canvas.width / Math.max(1, this.#canvas.clientWidth);
    const w = this.#canvas.clientWidth;
    const h = this.#canvas.clientHeight;
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, w, h);
    this.#labels = [];
    const to = this.#projector();
    const zoom = this.map.getZoom();
    const p = this.#palette;
    const rem = this.#rem;
    const inside = (x: number, y: number, m = 40) => x > -m && y > -m && x < w + m && y < h + m;

    const route = this.scene.route;
    if (route && route.length > 1) {
      pen.lineJoin = pen.lineCap = "round";
      pen.beginPath();
      route.forEach(([lon, lat], n) => {
        const [x, y] = to(mercX(lon), mercY(lat));
        if (n === 0) pen.moveTo(x, y);
        else pen.lineTo(x, y);
      });
      pen.strokeStyle = p.bg;
      pen.lineWidth = 0.6 * rem;
      pen.stroke();
      pen.strokeStyle = p.accent;
      pen.lineWidth = 0.35 * rem;
      pen.stroke();
      pen.lineCap = "butt";
    }

    for (const h of this.scene.hindrances ?? []) {
      const [x, y] = to(mercX(h.lon), mercY(h.lat));
      const r = (h.radius_m / (40_075_017 * Math.cos((h.lat * Math.PI) / 180))) * 512 * 2 ** zoom;
      if (!inside(x, y, r)) continue;
      drawHindrance(pen, p, rem, x, y, r, h.closed);
      if (zoom >= 12.5) this.#label(h.label, x, y + Math.max(1.2 * rem, Math.min(r, 3 * rem) + 0.6 * rem), p.risk);
    }
    if (zoom >= 11.5)
      for (const h of this.scene.hospitals ?? []) {
        const [x, y] = to(mercX(h.lon), mercY(h.lat));
        if (!inside(x, y)) continue;
        drawHospital(pen, p, rem, x, y); // the base map names it
      }

    // ETA lines: dashed until acknowledged, solid when rolling.
    pen.lineWidth = 1.5;
    for (const l of this.scene.lines) {
      const t = this.#tracks.get(l.from);
      if (!t) continue;
      const [x0, y0] = to(...this.#at(t, now));
      const [x1, y1] = to(mercX(l.lon), mercY(l.lat));
      pen.strokeStyle = l.late ? p.late : p.accent;
      pen.globalAlpha = 0.75;
      pen.setLineDash(l.solid ? [] : [4, 5]);
      pen.beginPath();
      pen.moveTo(x0, y0);
      pen.lineTo(x1, y1);
      pen.stroke();
    }
    pen.setLineDash([]);
    pen.globalAlpha = 1;

    for (const point of this.scene.points) {
      const [x, y] = to(mercX(point.lon), mercY(point.lat));
      if (inside(x, y)) this.#point(point, x, y);
    }

    const small = zoom < 11.2;
    const names: [string, number, number, boolean][] = [];
    const order: UnitLook[] = ["off", "out", "free", "scene", "transport", "alerted", "rolling"];
    const units = [...this.scene.units].sort((a, b) => order.indexOf(a.look) - order.indexOf(b.look));
    for (const u of units) {
      const t = this.#tracks.get(u.id);
      if (!t) continue;
      const [x, y] = to(...this.#at(t, now));
      if (!inside(x, y)) continue;
      const chosen = u.id === this.scene.selectedUnit;
      const sprite = this.#sprite(u, small && !chosen, chosen, ratio);
      const size = sprite.width / ratio;
      pen.drawImage(sprite, x - size / 2, y - size / 2, size, size);
      if (chosen || (zoom >= 14 && u.look !== "off")) names.push([u.id, x, y + 1.35 * rem * (small ? 0.7 : 1), chosen]);
    }

    // The most endangered on top.
    const rank: Record<Tone, number> = { done: 0, calm: 1, risk: 2, late: 3 };
    const chosenId = this.scene.selectedIncident;
    const incidents = [...this.scene.incidents].sort(
      (a, b) => Number(a.id === chosenId) - Number(b.id === chosenId) || rank[a.tone] - rank[b.tone],
    );
    for (const i of incidents) {
      const [x, y] = to(mercX(i.lon), mercY(i.lat));
      if (inside(x, y, 120)) this.#incident(i, x, y, i.id === chosenId, to);
    }
    // Words last and in order of importance, so that what is left out is what matters least.
    for (const i of incidents.reverse()) {
      const chosen = i.id === chosenId;
      if (!chosen && i.tone === "done" && zoom < 13.5) continue;
      if (!chosen && i.tone !== "late" && zoom < 12.2) continue;
      const [x, y] = to(mercX(i.lon), mercY(i.lat));
      const text = chosen || zoom >= 12.2 ? i.label : i.label.slice(0, i.label.indexOf(" "));
      if (inside(x, y))
        this.#label(text, x, y - (chosen ? 1.9 : 1.5) * rem, i.tone === "calm" ? p.text : this.#tone(i.tone), chosen);
    }
    for (const [id, x, y, chosen] of names) this.#label(id, x, y, chosen ? p.text : p.muted, chosen);

    const pull = this.#pull;
    if (pull) {
      const t = this.#tracks.get(pull.unit);
      drawPull(pen, p, rem, t ? to(...this.#at(t, now)) : null, [pull.x, pull.y], pull.lands);
    }
  }

  #tone(tone: Tone): string {
    const p = this.#palette;
    return { calm: p.accent, risk: p.risk, late: p.late, done: p.muted }[tone];
  }

  #incident(
    i: IncidentMark,
    x: number,
    y: number,
    chosen: boolean,
    to: (x: number, y: number) => [number, number],
  ): void {
    const pen = this.#pen;
    const p = this.#palette;
    const rem = this.#rem;
    const colour = this.#tone(i.tone);
    const r = (chosen ? 0.95 : i.priority === 1 ? 0.72 : 0.55) * rem;
    if (chosen && i.accuracy_m && i.accuracy_m > 30) {
      const [ex] = to(mercX(i.lon + i.accuracy_m / (111_320 * Math.cos((i.lat * Math.PI) / 180))), mercY(i.lat));
      pen.beginPath();
      pen.arc(x, y, Math.abs(ex - x), 0, 2 * Math.PI);
      pen.globalAlpha = 0.12;
      pen.fillStyle = colour;
      pen.fill();
      pen.globalAlpha = 0.6;
      pen.setLineDash([3, 4]);
      pen.lineWidth = 1;
      pen.strokeStyle = colour;
      pen.stroke();
      pen.setLineDash([]);
      pen.globalAlpha = 1;
    }
    pen.beginPath();
    pen.arc(x, y, r + 0.22 * rem, 0, 2 * Math.PI);
    pen.fillStyle = p.bg;
    pen.globalAlpha = 0.92;
    pen.fill();
    pen.globalAlpha = 1;
    pen.lineWidth = 0.2 * rem;
    pen.strokeStyle = p.line;
    pen.globalAlpha = 0.5;
    pen.beginPath();
    pen.arc(x, y, r, 0, 2 * Math.PI);
    pen.stroke();
    pen.globalAlpha = 1;
    pen.strokeStyle = colour;
    const start = -Math.PI / 2;
    pen.beginPath();
    if (i.tone === "done" || i.priority > 1) pen.arc(x, y, r, 0, 2 * Math.PI);
    else if (i.used < 1) pen.arc(x, y, r, start + i.used * 2 * Math.PI, start + 2 * Math.PI);
    else pen.arc(x, y, r, start, start + Math.min(1, i.used - 1 + 0.02) * 2 * Math.PI);
    if (i.priority > 1) pen.lineWidth = 0.1 * rem;
    pen.stroke();
    pen.fillStyle = i.tone === "done" ? p.muted : i.tone === "calm" ? p.text : colour;
    pen.font = `600 ${0.6875 * rem * (chosen ? 1.2 : 1)}px "IBM Plex Sans", sans-serif`;
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    pen.fillText(String(i.priority), x, y + 0.5);
    if (chosen) {
      pen.beginPath();
      pen.arc(x, y, r + 0.4 * rem, 0, 2 * Math.PI);
      pen.lineWidth = 1.5;
      pen.strokeStyle = p.text;
      pen.stroke();
    }
  }

  #label(text: string, x: number, y: number, colour: string, always = false): void {
    const pen = this.#pen;
    pen.font = `500 ${0.6875 * this.#rem}px "IBM Plex Sans", sans-serif`;
    const half = pen.measureText(text).width / 2 + 3;
    const tall = 0.5 * this.#rem;
    const box: [number, number, number, number] = [x - half, y - tall, x + half, y + tall];
    if (!always && this.#labels.some((b) => box[0] < b[2] && box[2] > b[0] && box[1] < b[3] && box[3] > b[1])) return;
    this.#labels.push(box);
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    pen.lineWidth = 3;
    pen.lineJoin = "round";
    pen.strokeStyle = this.#palette.bg;
    pen.strokeText(text, x, y);
    pen.fillStyle = colour;
    pen.fillText(text, x, y);
  }

  #point(point: PointMark, x: number, y: number): void {
    const pen = this.#pen;
    const p = this.#palette;
    const rem = this.#rem;
    pen.strokeStyle = p.text;
    pen.lineWidth = 2;
    pen.beginPath();
    pen.moveTo(x - 0.7 * rem, y);
    pen.lineTo(x + 0.7 * rem, y);
    pen.moveTo(x, y - 0.7 * rem);
    pen.lineTo(x, y + 0.7 * rem);
    pen.stroke();
    pen.beginPath();
    pen.arc(x, y, 0.45 * rem, 0, 2 * Math.PI);
    pen.stroke();
    if (point.label) this.#label(point.label, x, y - 1.1 * rem, p.text);
  }

  /** A unit's mark: shape by state, letter by kind, a beak for its heading. Cached by everything it depends on. */
  #sprite(u: UnitMark, small: boolean, chosen: boolean, ratio: number): HTMLCanvasElement {
    const heading = u.moving && u.heading_deg != null ? Math.round(u.heading_deg / 15) * 15 : null;
    const key = `${u.letter}|${u.look}|${heading}|${u.stale}|${small}|${chosen}|${ratio}`;
    const known = this.#sprites.get(key);
    if (known) return known;
    const p = this.#palette;
    const rem = this.#rem;
    const r = (small ? 0.3 : 0.5) * rem;
    const size = Math.ceil((r + 0.55 * rem) * 2);
    const sprite = document.createElement("canvas");
    sprite.width = sprite.height = Math.round(size * ratio);
    const pen = sprite.getContext("2d", { willReadFrequently: true })!;
    pen.scale(ratio, ratio);
    pen.translate(size / 2, size / 2);
    if (u.stale) pen.globalAlpha = 0.5;
    const solid = u.look === "rolling" || u.look === "transport";
    const colour = {
      free: p.muted,
      alerted: p.accent,
      rolling: p.accent,
      scene: p.text,
      transport: p.info,
      out: p.line,
      off: p.line,
    }[u.look];
    const quiet = u.look === "out" || u.look === "off";
    if (heading !== null && !quiet) {
      pen.save();
      pen.rotate((heading * Math.PI) / 180);
      pen.beginPath();
      pen.moveTo(0, -r - 0.38 * rem);
      pen.lineTo(0.26 * rem, -r * 0.75);
      pen.lineTo(-0.26 * rem, -r * 0.75);
      pen.closePath();
      pen.fillStyle = colour;
      pen.fill();
      pen.restore();
    }
    pen.beginPath();
    pen.arc(0, 0, r, 0, 2 * Math.PI);
    pen.fillStyle = solid ? colour : p.panel;
    pen.fill();
    pen.lineWidth = small ? 1.2 : 1.6;
    pen.strokeStyle = colour;
    if (u.look === "alerted" || u.stale) pen.setLineDash([3, 2.5]);
    pen.stroke();
    pen.setLineDash([]);
    if (!small) {
      pen.fillStyle = solid ? p.onAccent : quiet ? p.line : p.text;
      pen.font = `600 ${0.625 * rem}px "IBM Plex Sans", sans-serif`;
      pen.textAlign = "center";
      pen.textBaseline = "middle";
      pen.fillText(u.letter, 0, 0.5);
    }
    if (u.look === "out") {
      pen.beginPath();
      pen.moveTo(-r * 0.7, r * 0.7);
      pen.lineTo(r * 0.7, -r * 0.7);
      pen.stroke();
    }
    if (chosen) {
      pen.beginPath();
      pen.arc(0, 0, r + 0.3 * rem, 0, 2 * Math.PI);
      pen.strokeStyle = p.text;
      pen.lineWidth = 1.5;
      pen.stroke();
    }
    this.#sprites.set(key, sprite);
    return sprite;
  }
}
