import { describe, expect, test } from "vitest";
import { clock } from "../lib/time";
import { csv, period } from "./figures";

describe("board period", () => {
  const now = Date.parse("2026-11-24T20:30:00Z"); // 03:30 on the 25th in Surabaya

  test("today is the region's day, not UTC's", () => {
    expect(period("today", now, 7)).toEqual(["2026-11-24T17:00:00.000Z", "2026-11-25T17:00:00.000Z"]);
  });

  test("seven days end tonight and hold today", () => {
    expect(period("7d", now, 7)).toEqual(["2026-11-18T17:00:00.000Z", "2026-11-25T17:00:00.000Z"]);
  });

  test("a chosen range holds its last day", () => {
    expect(period("own", now, 7, "2026-11-01", "2026-11-30")).toEqual([
      "2026-10-31T17:00:00.000Z",
      "2026-11-30T17:00:00.000Z",
    ]);
  });
});

test("csv quotes what needs quoting and leaves blanked numbers empty", () => {
  expect(csv([["a", 'b "c", d', null, 4]])).toBe('a,"b ""c"", d",,4\r\n');
});

test("durations read as a person says them", () => {
  expect([252, 0, 59.9, -83, 3725].map(clock)).toEqual(["4:12", "0:00", "0:59", "-1:23", "1:02:05"]);
});
