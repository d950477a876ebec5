import { describe, expect, test } from "vitest";
import { nextOrder, SWAP_MARGIN } from "./order";

const items = (scores: Record<string, number>) => Object.entries(scores).map(([id, score]) => ({ id, score }));

describe("order", () => {
  test("the first order is by danger", () => {
    expect(nextOrder([], items({ a: 1, b: 300, c: 20 }), false)).toEqual(["b", "c", "a"]);
  });

  test("rows do not swap for noise", () => {
    expect(nextOrder(["a", "b"], items({ a: 100, b: 100 + SWAP_MARGIN - 1 }), false)).toEqual(["a", "b"]);
  });

  test("a clear difference moves a row up", () => {
    expect(nextOrder(["a", "b", "c"], items({ a: 100, b: 90, c: 400 }), false)).toEqual(["c", "a", "b"]);
  });

  test("while the operator reads, rows keep their places whatever happens to their danger", () => {
    expect(nextOrder(["a", "b", "c"], items({ a: 1, b: 2, c: 900 }), true)).toEqual(["a", "b", "c"]);
  });

  test("a new row slides in at its place even then, and an ended one leaves", () => {
    expect(nextOrder(["a", "b", "c"], items({ a: 300, c: 100, n: 200 }), true)).toEqual(["a", "n", "c"]);
  });

  test("ten thousand rows are ordered, each once", () => {
    const many = items(Object.fromEntries(Array.from({ length: 10_000 }, (_, n) => [`i${n}`, (n * 7919) % 10_007])));
    const order = nextOrder([], many, false);
    expect(new Set(order).size).toBe(10_000);
  });
});
