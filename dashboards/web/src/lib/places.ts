/** The gazetteer: search by words, name a point. Answers are read leniently because a place is never worth an error. */
import { get } from "./api";

export interface Found {
  name: string;
  detail: string;
  lon: number;
  lat: number;
}

type Raw = Record<string, unknown>;
const text = (v: unknown): string => (typeof v === "string" ? v : "");

function list(answer: unknown): Raw[] {
  if (Array.isArray(answer)) return answer as Raw[];
  const a = answer as Record<string, unknown> | null;
  for (const key of ["places", "results", "items"]) if (Array.isArray(a?.[key])) return a[key] as Raw[];
  return [];
}

export async function searchPlaces(q: string, near?: { lon: number; lat: number } | null): Promise<Found[]> {
  const by = near ? `&lon=${near.lon}&lat=${near.lat}` : "";
  const answer = await get<unknown>(`/api/v1/places/search?q=${encodeURIComponent(q)}${by}`);
  return list(answer)
    .filter((p) => typeof p.lon === "number" && typeof p.lat === "number")
    .map((p) => ({
      name: text(p.name) || text(p.address) || text(p.label),
      detail: [text(p.kelurahan) || text(p.detail), text(p.kecamatan)]
        .filter((v, n, all) => v && all.indexOf(v) === n)
        .join(", "),
      lon: p.lon as number,
      lat: p.lat as number,
    }));
}

export interface PlaceNote {
  note_id: string;
  kind: string;
  text_id: string;
  text_en: string;
  distance_m?: number | null;
}

export interface ResponseArea {
  agency: string;
  name: string;
}

/** Hazards, premise notes and response areas of a point; nothing where the server does not say. */
export async function aboutPlace(at: {
  lon: number;
  lat: number;
}): Promise<{ notes: PlaceNote[]; areas: ResponseArea[] }> {
  try {
    return await get<{ notes: PlaceNote[]; areas: ResponseArea[] }>(`/api/v1/places/about?lon=${at.lon}&lat=${at.lat}`);
  } catch {
    return { notes: [], areas: [] };
  }
}

export async function reversePlace(at: { lon: number; lat: number }): Promise<string> {
  try {
    const a = await get<Raw>(`/api/v1/places/reverse?lon=${at.lon}&lat=${at.lat}`);
    return text(a.address) || text(a.label) || text(a.name);
  } catch {
    return "";
  }
}
