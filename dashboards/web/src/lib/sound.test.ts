import { describe, expect, it } from "vitest";
import { TUNES } from "./sound";

describe("sounds", () => {
  it("are all different, so that they can be told apart without looking", () => {
    const heard = Object.values(TUNES).map((notes) => notes.map(([hz]) => hz).join());
    expect(new Set(heard).size).toBe(heard.length);
  });

  it("are short enough to be over before they come again", () => {
    for (const notes of Object.values(TUNES)) {
      const [, start, length] = notes.at(-1)!;
      expect(start + length).toBeLessThan(1.5);
    }
  });
});
