/** Shapes of kecamatan and kelurahan for small maps, fetched once a page, and where they stand in a drawing. */
import { get } from "../api";

export interface Area {
  code: string;
  name: string;
  parent: string;
  rings: [number, number][][];
}
export interface Areas {
  level: "kecamatan" | "kelurahan";
  approximate: boolean;
  areas: Area[];
}
export interface Drawn {
  code: string;
  name: string;
  parent: string;
  d: string;
  /** Middle of the largest ring, for a label; and how wide that ring is. */
  x: number;
  y: number;
  w: number;
}

const kept = new Map<string, Promise<Areas>>();
/** The shapes of a level. A failed question is asked again next time. */
export function areas(level: "kecamatan" | "kelurahan"): Promise<Areas> {
  let found = kept.get(level);
  if (!found) {
    found = get<Areas>(`/api/v1/public/areas?level=${level}`);
    found.catch(() => kept.delete(level));
    kept.set(level, found);
  }
  return found;
}

/** Paths in a box `width` wide; north up, degrees of longitude shortened by the cosine of the latitude. Pure. */
export function draw(all: Area[], width: number): { height: number; shapes: Drawn[] } {
  const points = all.flatMap((a) => a.rings.flat());
  if (points.length === 0) return { height: width / 2, shapes: [] };
  let [west, east, south, north] = [Infinity, -Infinity, Infinity, -Infinity];
  for (const [lon, lat] of points) {
    west = Math.min(west, lon);
    east = Math.max(east, lon);
    south = Math.min(south, lat);
    north = Math.max(north, lat);
  }
  const squeeze = Math.cos((((south + north) / 2) * Math.PI) / 180);
  const scale = width / Math.max(1e-9, (east - west) * squeeze);
  const x = (lon: number): number => (lon - west) * squeeze * scale;
  const y = (lat: number): number => (north - lat) * scale;
  const shapes = all.map((a) => {
    const middle = centre(a.rings);
    const lons = middle.ring.map((p) => p[0]);
    return {
      code: a.code,
      name: a.name,
      parent: a.parent,
      d: a.rings
        .map((r) => `M${r.map(([lon, lat]) => `${x(lon).toFixed(1)} ${y(lat).toFixed(1)}`).join("L")}Z`)
        .join(""),
      x: x(middle.lon),
      y: y(middle.lat),
      w: x(Math.max(...lons)) - x(Math.min(...lons)),
    };
  });
  return { height: (north - south) * scale, shapes };
}

/** Centroid of the ring with the largest area. Pure. */
function centre(rings: [number, number][][]): { lon: number; lat: number; ring: [number, number][] } {
  let best = { lon: 0, lat: 0, ring: [] as [number, number][], area: -1 };
  for (const ring of rings) {
    let [area, lon, lat] = [0, 0, 0];
    ring.forEach(([x1, y1], n) => {
      const [x2, y2] = ring[(n + 1) % ring.length]!;
      const cross = x1 * y2 - x2 * y1;
      area += cross / 2;
      lon += (x1 + x2) * cross;
      lat += (y1 + y2) * cross;
    });
    if (Math.abs(area) > best.area && area !== 0)
      best = { lon: lon / (6 * area), lat: lat / (6 * area), ring, area: Math.abs(area) };
  }
  return best;
}
