import { expect, test } from "vitest";
import { points, say, verdict } from "./whatif";

test("a change is better or worse only when its interval lies on one side", () => {
  expect(verdict({ low: 0.001, high: 0.02 })).toBe("better");
  expect(verdict({ low: -0.02, high: -0.001 })).toBe("worse");
  expect(verdict({ low: -0.001, high: 0.02 })).toBe("unclear");
});

test("a scenario is said in the words of its parts", () => {
  const text = say(
    {
      add: [{ unit_type: "motorbike", count: 1, post: "DK-PAKAL", from_h: 6, to_h: 10 }],
      close: ["PP-TIDAR"],
      closed_units: "gone",
      move_up: false,
      answer_s: 10,
    },
    new Map([["DK-PAKAL", "Pos Pakal"]]),
    new Map([["motorbike", "Motor TRC"]]),
  );
  expect(text).toBe(
    "+1 Motor TRC di Pos Pakal, 06–10 · tutup PP-TIDAR (unitnya ditiadakan) · geser unit: tidak · dijawab dalam 10 dtk",
  );
  expect(points(-0.012)).toBe("−1,2");
});
