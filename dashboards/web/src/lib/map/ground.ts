/** What lies still on the map: closed and slow roads, hospitals, and the line of a unit being dragged. Drawn by `Overlay`. */

export interface HindranceMark {
  id: string;
  label: string;
  lon: number;
  lat: number;
  radius_m: number;
  /** Closed for everybody, else only slow. */
  closed: boolean;
}

export interface HospitalMark {
  lon: number;
  lat: number;
}

/** The colours these marks need; part of the overlay's palette. */
export interface Ink {
  text: string;
  muted: string;
  panel: string;
  bg: string;
  accent: string;
  risk: string;
}

/** A closed or slow stretch: its extent, and a sign that says which by shape: a barred circle, or a triangle. */
export function drawHindrance(
  pen: CanvasRenderingContext2D,
  ink: Ink,
  rem: number,
  x: number,
  y: number,
  radius_px: number,
  closed: boolean,
): void {
  pen.beginPath();
  pen.arc(x, y, Math.max(radius_px, 0.5 * rem), 0, 2 * Math.PI);
  pen.globalAlpha = 0.14;
  pen.fillStyle = ink.risk;
  pen.fill();
  pen.globalAlpha = 0.9;
  pen.setLineDash(closed ? [] : [3, 4]);
  pen.lineWidth = 1.25;
  pen.strokeStyle = ink.risk;
  pen.stroke();
  pen.setLineDash([]);
  pen.globalAlpha = 1;
  const r = 0.45 * rem;
  pen.beginPath();
  if (closed) pen.arc(x, y, r, 0, 2 * Math.PI);
  else {
    pen.moveTo(x, y - r);
    pen.lineTo(x + r, y + 0.75 * r);
    pen.lineTo(x - r, y + 0.75 * r);
    pen.closePath();
  }
  pen.fillStyle = ink.bg;
  pen.fill();
  pen.lineWidth = 1.75;
  pen.strokeStyle = ink.risk;
  pen.stroke();
  pen.beginPath();
  if (closed) {
    pen.moveTo(x - 0.55 * r, y);
    pen.lineTo(x + 0.55 * r, y);
  } else {
    pen.moveTo(x, y - 0.35 * r);
    pen.lineTo(x, y + 0.4 * r);
  }
  pen.lineWidth = 2;
  pen.stroke();
}

export function drawHospital(pen: CanvasRenderingContext2D, ink: Ink, rem: number, x: number, y: number): void {
  const r = 0.38 * rem;
  pen.fillStyle = ink.panel;
  pen.strokeStyle = ink.muted;
  pen.lineWidth = 1;
  pen.beginPath();
  pen.roundRect(x - r, y - r, 2 * r, 2 * r, 2);
  pen.fill();
  pen.stroke();
  pen.strokeStyle = ink.text;
  pen.lineWidth = 1.5;
  pen.beginPath();
  pen.moveTo(x, y - 0.55 * r);
  pen.lineTo(x, y + 0.55 * r);
  pen.moveTo(x - 0.55 * r, y);
  pen.lineTo(x + 0.55 * r, y);
  pen.stroke();
}

/** From a unit to the hand that drags it; a ring when letting go would send it. */
export function drawPull(
  pen: CanvasRenderingContext2D,
  ink: Ink,
  rem: number,
  from: [number, number] | null,
  to: [number, number],
  lands: boolean,
): void {
  pen.strokeStyle = ink.accent;
  pen.lineWidth = 2.5;
  if (from) {
    pen.setLineDash([6, 5]);
    pen.beginPath();
    pen.moveTo(...from);
    pen.lineTo(...to);
    pen.stroke();
    pen.setLineDash([]);
  }
  pen.beginPath();
  pen.arc(...to, lands ? 1.3 * rem : 0.3 * rem, 0, 2 * Math.PI);
  pen.stroke();
}
