import { describe, expect, test } from "vitest";
import { lastDays, shift } from "./shifts";

/** 24 November 2026, WIB. */
const wib = (hour: number, minute = 0): number => Date.UTC(2026, 10, 24, hour - 7, minute);

describe("shifts", () => {
  test("the morning shift runs from seven to seven", () => {
    expect(shift(wib(12), 7, 0)).toEqual({ since: "2026-11-24T00:00:00.000Z", until: "2026-11-24T12:00:00.000Z" });
  });
  test("at three in the morning the shift began yesterday evening", () => {
    expect(shift(wib(3), 7, 0).since).toBe("2026-11-23T12:00:00.000Z");
  });
  test("seven sharp belongs to the coming shift", () => {
    expect(shift(wib(7), 7, 0).since).toBe("2026-11-24T00:00:00.000Z");
  });
  test("the shift before ends where this one began", () => {
    expect(shift(wib(12), 7, 1)).toEqual({ since: "2026-11-23T12:00:00.000Z", until: "2026-11-24T00:00:00.000Z" });
  });
  test("the last days include this very minute", () => {
    expect(Date.parse(lastDays(wib(12), 7).until)).toBeGreaterThan(wib(12));
  });
});
