import { expect, test } from "vitest";
import { enlarged } from "./enlarge";

test("a size, and a size at each zoom, grow; zooms stay", () => {
  expect(enlarged(12, 1.5)).toBe(18);
  expect(enlarged(["interpolate", ["linear"], ["zoom"], 10, 8, 14, 12], 2)).toEqual([
    "interpolate",
    ["linear"],
    ["zoom"],
    10,
    16,
    14,
    24,
  ]);
  expect(enlarged(["step", ["zoom"], 8, 12, 10], 2)).toEqual(["step", ["zoom"], 16, 12, 20]);
});

test("what is not understood stays as it is", () => {
  expect(enlarged(["get", "size"], 2)).toEqual(["get", "size"]);
});
