import { describe, expect, test } from "vitest";
import { dangerOf } from "./danger";
import type { Assignment, Incident } from "./types";

const RING = Date.UTC(2026, 10, 24, 3, 0, 0);
const at = (s: number): string => new Date(RING + s * 1000).toISOString();
const incident = (more: Partial<Incident> = {}): Incident =>
  ({ incident_id: "1", priority: 1, first_ring_at: at(0), state: "waiting", ...more }) as Incident;
const coming = (eta_s: number, more: Partial<Assignment> = {}): Assignment =>
  ({ assignment_id: "a", state: "en_route", assigned_at: at(30), eta_s, arrival_sd_s: 20, ...more }) as Assignment;
const danger = (i: Incident, a: Assignment[], now_s: number) => dangerOf(i, a, RING + now_s * 1000, 420);

describe("danger", () => {
  test("a unit well within seven minutes is calm, and its arrival is counted from the first ring", () => {
    const d = danger(incident(), [coming(200)], 60);
    expect(d.tone).toBe("calm");
    expect(d.predicted_s).toBe(230);
  });

  test("an arrival predicted after seven minutes is late before the clock is", () => {
    expect(danger(incident(), [coming(500)], 60).tone).toBe("late");
  });

  test("nobody coming is a risk at once", () => {
    expect(danger(incident(), [], 20).tone).toBe("risk");
  });

  test("the server's warning counts even when the first estimate was good", () => {
    expect(danger(incident({ warned_at: at(50) }), [coming(200)], 60).tone).toBe("risk");
  });

  test("a unit that should have been there is at best about to arrive", () => {
    expect(danger(incident(), [coming(100)], 300).predicted_s).toBe(300);
  });

  test("a withdrawn unit is not coming", () => {
    expect(danger(incident(), [coming(100, { state: "withdrawn" })], 60).predicted_s).toBeNull();
  });

  test("help at the scene stops the clock and puts the incident last", () => {
    const done = danger(incident({ first_capable_at_scene_at: at(312), state: "on_scene" }), [], 400);
    expect(done.tone).toBe("done");
    expect(done.arrived_s).toBe(312);
    expect(done.score).toBeLessThan(danger(incident({ priority: 3 }), [coming(100)], 10).score);
  });

  test("order: nobody coming, then late, then calm P1, then P2 that waits, then P3", () => {
    const now = 250;
    const scores = [
      danger(incident(), [coming(700)], now).score,
      danger(incident(), [], now + 160).score,
      danger(incident(), [coming(240)], now).score,
      danger(incident({ priority: 2 }), [], now).score,
      danger(incident({ priority: 2 }), [coming(100)], now).score,
      danger(incident({ priority: 3 }), [], now).score,
    ];
    expect([...scores].sort((a, b) => b - a)).toEqual(scores);
  });
});
