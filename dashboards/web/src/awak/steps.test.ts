import { describe, expect, test } from "vitest";
import type { AssignmentState } from "../lib/types";
import {
  clockError_s,
  fixInterval_s,
  mended,
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
  pressed_ms: Date.parse("2026-11-24T03:00:00Z"),
  offset_ms: 0,
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

describe("a clock that ran ahead", () => {
  const HOUR_MS = 3_600_000;
  /** Pressed at true 03:00:00 and 03:00:30 on a phone two hours ahead that had not heard the centre. */
  const wrong = (order: number, more_s: number): Action => {
    const at_ms = Date.parse("2026-11-24T03:00:00Z") + more_s * 1000 + 2 * HOUR_MS;
    return { ...action("report_at_scene", {}, order), device_at: new Date(at_ms).toISOString(), pressed_ms: at_ms };
  };
  const times = (queue: Action[]) => queue.map((a) => a.device_at.slice(11, 19));

  test("is mended by what it is off by, and keeps what it had said", () => {
    const queue = [wrong(1, 0), wrong(2, 30)];
    // Refused 40 s after the press: the centre's own word would make the first one 40 s too late.
    const after = mended(queue, queue[0]!, 2 * 3600 - 40, -2 * HOUR_MS);
    expect(times(after)).toEqual(["03:00:00", "03:00:30"]);
    expect(after[0]!.said_at?.slice(11, 19)).toBe("05:00:00");
  });

  test("is mended by the centre's word when the phone has set its clock meanwhile", () => {
    const queue = [wrong(1, 0), wrong(2, 30)];
    expect(times(mended(queue, queue[0]!, 2 * 3600 - 40, 0))).toEqual(["03:00:40", "03:01:10"]);
  });

  test("that stood years back is mended as well, with or without a known difference", () => {
    const years_ms = 3 * 365 * 24 * HOUR_MS;
    const at_ms = Date.parse("2026-11-24T03:00:00Z") - years_ms;
    const old = { ...action("report_at_scene"), device_at: new Date(at_ms).toISOString(), pressed_ms: at_ms };
    const ahead_s = clockError_s("time_too_old", { age_s: years_ms / 1000 + 40 })!;
    expect(times(mended([old], old, ahead_s, years_ms))).toEqual(["03:00:00"]);
    expect(times(mended([old], old, ahead_s, 0))).toEqual(["03:00:40"]);
  });

  test("is not seen in any other refusal", () => {
    expect(clockError_s("illegal_transition", { before: "cleared" })).toBeNull();
    expect(clockError_s("time_in_future", null)).toBeNull();
  });

  test("leaves alone what was pressed after the clock was known", () => {
    const right = { ...action("report_at_patient", {}, 2), offset_ms: -2 * HOUR_MS };
    expect(mended([wrong(1, 0), right], wrong(1, 0), 7160, -2 * HOUR_MS)[1]).toBe(right);
  });
});
