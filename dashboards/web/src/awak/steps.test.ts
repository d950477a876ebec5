import { describe, expect, test } from "vitest";
import type { AssignmentState } from "../lib/types";
import {
  fixInterval_s,
  nextSteps,
  seenState,
  seenUnit,
  type Action,
  type CrewUnit,
  type Job,
  type Verb,
} from "./steps";

const job = (state: AssignmentState): Job => ({ assignment: { assignment_id: "1", state } }) as unknown as Job;
const action = (verb: Verb, more: Record<string, unknown> = {}, order = 1): Action => ({
  key: String(order),
  order,
  verb,
  body: { assignment_id: "1", ...more },
  device_at: "2026-11-24T03:00:00Z",
  send_at_ms: 0,
});

/** dispatch/transitions.py, the rows a crew's button may cause. */
const LEGAL: Record<string, string[]> = {
  alerted: ["acknowledged", "en_route", "at_scene", "declined"],
  acknowledged: ["en_route", "at_scene", "declined"],
  en_route: ["at_scene", "declined"],
  at_scene: ["transporting", "cleared", "at_scene"],
  transporting: ["at_hospital", "cleared"],
  at_hospital: ["cleared"],
};

describe("crew steps", () => {
  test.each(Object.keys(LEGAL) as AssignmentState[])("every button in state %s is a legal transition", (state) => {
    for (const transport of [true, false])
      for (const patient of [true, false])
        for (const step of nextSteps(state, transport, patient))
          expect(LEGAL[state]).toContain(seenState(job(state), [action(step.verb)]));
  });

  test.each(Object.keys(LEGAL) as AssignmentState[])("state %s offers exactly one big button", (state) => {
    for (const transport of [true, false])
      for (const patient of [true, false])
        expect(nextSteps(state, transport, patient).filter((s) => s.main)).toHaveLength(1);
  });

  test("accepting never waits for an undo", () => {
    expect(nextSteps("alerted", true, false)[0]).toMatchObject({ verb: "report_en_route", undoable: false });
  });

  test("unsent buttons show at once, in order", () => {
    expect(
      seenState(job("alerted"), [action("report_en_route", {}, 1), action("report_at_scene", { by: "button" }, 2)]),
    ).toBe("at_scene");
  });

  test("a geofence proposes and never sets", () => {
    expect(seenState(job("en_route"), [action("report_at_scene", { by: "geofence" })])).toBe("en_route");
  });

  test("an action of another job changes nothing here", () => {
    expect(seenState(job("alerted"), [action("report_clear", { assignment_id: "2" })])).toBe("alerted");
  });

  test("duty buttons show at once", () => {
    expect(seenUnit({ state: "off_duty" } as CrewUnit, [action("start_duty")])).toBe("available");
  });

  test("a rolling unit is located more often than a parked one", () => {
    expect(fixInterval_s("en_route", true)).toBeLessThan(fixInterval_s(null, true));
    expect(fixInterval_s(null, true)).toBeLessThan(fixInterval_s(null, false));
  });
});
