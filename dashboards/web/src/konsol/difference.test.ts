import { describe, expect, it } from "vitest";
import type { Incident } from "../lib/types";
import { differences, type Seen, type Words } from "./difference";

const words: Words = {
  label: (field) => field,
  state: (s) => s,
  kind: (k) => k,
  place: (i) => i.place.address ?? "",
  capability: (c) => c,
  unit: (u, s) => `${u} ${s}`,
  none: "–",
};

const incident: Incident = {
  incident_id: "261124-0147",
  kind: "medis",
  priority: 1,
  highest_priority: 1,
  place: { lon: 112.7, lat: -7.2, address: "Jalan Raya Darmo" },
  state: "dispatched",
  first_ring_at: "2026-11-24T03:00:00Z",
  opened_at: "2026-11-24T03:00:30Z",
  plan: "medis",
  mode: "auto",
  report_ids: [],
  assignment_ids: [],
  version: 3,
};
const seen = (change: Partial<Incident> = {}, units: Seen["units"] = []): Seen => ({
  incident: { ...incident, ...change },
  units,
  seq: 1,
});

describe("differences", () => {
  it("are none when only the machine's own figures moved", () => {
    const before = seen({}, [{ unit_id: "A01", state: "alerted" }]);
    const now = seen({ version: 9, chance: 0.4 }, [{ unit_id: "A01", state: "en_route" }]);
    expect(differences(before, now, words)).toEqual([]);
  });

  it("stand side by side, field by field", () => {
    const now = seen({ priority: 2, state: "on_scene", notes: ["jalan ditutup"] }, [
      { unit_id: "A02", state: "at_scene" },
    ]);
    expect(differences(seen({}, [{ unit_id: "A02", state: "en_route" }]), now, words)).toEqual([
      { label: "state", before: "dispatched", now: "on_scene" },
      { label: "priority", before: "P1", now: "P2" },
      { label: "units", before: "A02 en_route", now: "A02 at_scene" },
      { label: "note", before: "–", now: "jalan ditutup" },
    ]);
  });
});
