import { describe, expect, test } from "vitest";
import type { Assignment, Incident } from "../lib/types";
import { lookAt, makeReplay, placeAt, sceneAt, type Tracks } from "./replay";

const at = (s: number): string => new Date(Date.UTC(2026, 10, 24, 3) + s * 1000).toISOString();
const ms = (s: number): number => Date.parse(at(s));

const incident = {
  incident_id: "261124-0001",
  priority: 1,
  place: { lon: 112.74, lat: -7.26 },
  first_ring_at: at(0),
  first_capable_at_scene_at: at(400),
  ended_at: at(1500),
} as Incident;

const job = {
  unit_id: "A01",
  assigned_at: at(30),
  en_route_at: at(60),
  at_scene_at: at(400),
  transporting_at: at(900),
  ended_at: at(1400),
} as Assignment;

const tracks: Tracks = {
  since: at(-120),
  until: at(1600),
  thinned: false,
  fixes: [
    { unit_id: "A01", lon: 112.75, lat: -7.26, fixed_at: at(100), heading_deg: 270 },
    { unit_id: "A01", lon: 112.76, lat: -7.26, fixed_at: at(60), heading_deg: 270 },
    { unit_id: "A01", lon: 112.74, lat: -7.26, fixed_at: at(400), heading_deg: null },
  ],
};

describe("replay", () => {
  const replay = makeReplay(incident, [job], [], tracks);
  const scene = (s: number) => sceneAt(replay, ms(s), 420, "0001", () => "A");

  test("a unit is on the line between two near fixes, whatever order they came in", () => {
    expect(placeAt(replay.steps.get("A01")!, ms(80))).toMatchObject({ lon: 112.755, stale: false, moving: true });
  });
  test("nobody is drawn where they were not heard of", () => {
    expect(scene(50).units).toEqual([]);
    expect(placeAt(replay.steps.get("A01")!, ms(200))).toMatchObject({ lon: 112.75, stale: true, moving: false });
  });
  test("the look follows the assignment's own times", () => {
    const looks = [0, 30, 60, 400, 900, 1400].map((s) => lookAt(job, ms(s)));
    expect(looks).toEqual([null, "alerted", "rolling", "scene", "transport", null]);
  });
  test("the incident appears with the first ring and is calm once help is there", () => {
    expect(scene(-1).incidents).toEqual([]);
    expect(scene(210).incidents[0]).toMatchObject({ tone: "calm", used: 0.5 });
    expect(scene(400).incidents[0]).toMatchObject({ tone: "done" });
  });
  test("a late one turns late at the target", () => {
    const late = makeReplay({ ...incident, first_capable_at_scene_at: at(500) }, [job], [], tracks);
    expect(sceneAt(late, ms(420), 420, "", () => "A").incidents[0]!.tone).toBe("late");
  });
});
