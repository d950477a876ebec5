/** The layer of hazards, water points and premises: what the city knew about a place before anybody rang. */
import type { Map as BaseMap, PointLike } from "maplibre-gl";

export type NoteKind = "hazard" | "water" | "premise";

export interface MapNote {
  note_id: string;
  kind: NoteKind;
  radius_m: number;
  text_id: string;
  text_en: string;
}

export interface Notes {
  type: "FeatureCollection";
  features: { type: "Feature"; geometry: { type: "Point"; coordinates: [number, number] }; properties: MapNote }[];
}

/** Kinds in the order in which they are explained; each has a shape and a colour of its own (a token of the theme). */
export const NOTE_KINDS: readonly NoteKind[] = ["hazard", "water", "premise"];
const INK: Record<NoteKind, string> = { hazard: "--risk", water: "--accent", premise: "--muted" };
const SOURCE = "notes";
/** From here on a note's words stand beside its mark, and a hazard shows how far it reaches. */
const CLOSE = 14;
/** Water points and premises are many: seen from further away they would hide the city. */
const NEAR = 12;
const PX = 18;

/** The same shape on the map and in its legend: a diamond, a drop, a square. */
export const noteShape = (kind: NoteKind): string =>
  kind === "hazard"
    ? "M9 1 17 9 9 17 1 9Z"
    : kind === "water"
      ? "M9 1C12 6 15 8 15 11.5A6 5.5 0 0 1 3 11.5C3 8 6 6 9 1Z"
      : "M3 3H15V15H3Z";

function picture(kind: NoteKind, ink: string, ground: string, ratio: number): ImageData {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = PX * ratio;
  const pen = canvas.getContext("2d")!;
  pen.scale(ratio, ratio);
  const shape = new Path2D(noteShape(kind));
  pen.fillStyle = kind === "hazard" ? ink : ground;
  pen.fill(shape);
  pen.lineWidth = 1.5;
  pen.strokeStyle = kind === "hazard" ? ground : ink;
  pen.stroke(shape);
  if (kind === "hazard") {
    pen.fillStyle = ground;
    pen.fillRect(8.1, 4.6, 1.8, 5.4);
    pen.fillRect(8.1, 11.4, 1.8, 1.8);
  }
  return pen.getImageData(0, 0, canvas.width, canvas.height);
}

/** Pixels of `radius_m` at every zoom: MapLibre's tiles are 512 pixels, the region's cosine stands in for each point's. */
function reachOf(lat: number): unknown[] {
  const px = (zoom: number) => (512 * 2 ** zoom) / (40_075_017 * Math.cos((lat * Math.PI) / 180));
  const at = (zoom: number) => ["*", ["get", "radius_m"], px(zoom)];
  return ["interpolate", ["exponential", 2], ["zoom"], NEAR, at(NEAR), 20, at(20)];
}

/** Put the layer up, renew it in other colours or another language, or take it down (null). */
export function drawNotes(map: BaseMap, notes: Notes | null, english: boolean): void {
  for (const id of ["note-words", "note-marks", "note-hazards", "note-reach"])
    if (map.getLayer(id)) map.removeLayer(id);
  if (map.getSource(SOURCE)) map.removeSource(SOURCE);
  if (!notes) return;
  const tokens = getComputedStyle(document.documentElement);
  const colour = (name: string) => tokens.getPropertyValue(name).trim();
  const ratio = Math.min(devicePixelRatio || 1, 2);
  for (const kind of NOTE_KINDS) {
    const id = `note-${kind}`;
    if (map.hasImage(id)) map.removeImage(id);
    map.addImage(id, picture(kind, colour(INK[kind]), colour("--bg"), ratio), { pixelRatio: ratio });
  }
  map.addSource(SOURCE, { type: "geojson", data: notes as never });
  const hazard = ["==", ["get", "kind"], "hazard"];
  const layers = [
    {
      id: "note-reach",
      type: "circle",
      minzoom: NEAR,
      filter: hazard,
      paint: {
        "circle-radius": reachOf(map.getCenter().lat),
        "circle-color": colour("--risk"),
        "circle-opacity": 0.1,
        "circle-stroke-color": colour("--risk"),
        "circle-stroke-width": 1,
        "circle-stroke-opacity": 0.6,
      },
    },
    {
      id: "note-marks",
      type: "symbol",
      minzoom: NEAR,
      filter: ["!", hazard],
      layout: { "icon-image": ["concat", "note-", ["get", "kind"]], "icon-size": 0.85 },
    },
    {
      id: "note-hazards",
      type: "symbol",
      filter: hazard,
      layout: { "icon-image": "note-hazard", "icon-allow-overlap": true, "icon-ignore-placement": true },
    },
    {
      id: "note-words",
      type: "symbol",
      minzoom: CLOSE,
      layout: {
        "text-field": ["get", english ? "text_en" : "text_id"],
        "text-font": ["IBM Plex Sans"],
        "text-size": 11.5,
        "text-anchor": "left",
        "text-offset": [1.1, 0],
        "text-justify": "left",
        "text-max-width": 14,
        "symbol-sort-key": ["match", ["get", "kind"], "hazard", 0, 1],
      },
      paint: { "text-color": colour("--text"), "text-halo-color": colour("--bg"), "text-halo-width": 1.6 },
    },
  ];
  for (const layer of layers) map.addLayer({ source: SOURCE, ...layer } as never);
}

/** The note under a point of the map, hazards first. */
export function noteAt(map: BaseMap, point: { x: number; y: number }): MapNote | null {
  const layers = ["note-hazards", "note-marks"].filter((id) => map.getLayer(id));
  if (layers.length === 0) return null;
  const box: [PointLike, PointLike] = [
    [point.x - 6, point.y - 6],
    [point.x + 6, point.y + 6],
  ];
  const found = map.queryRenderedFeatures(box, { layers }).map((f) => f.properties as MapNote);
  return found.find((n) => n.kind === "hazard") ?? found[0] ?? null;
}
