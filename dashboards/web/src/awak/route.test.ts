import { describe, expect, test } from "vitest";
import { progress, type Turn, type Way } from "./route";

/** 1 km east, then 1 km north: at Surabaya's latitude. */
const KM_EAST = 1000 / (111_195 * Math.cos((-7.26 * Math.PI) / 180));
const KM_NORTH = 1000 / 111_195;
const turn = (manoeuvre: string, length_m: number): Turn => ({
  manoeuvre,
  name: "",
  length_m,
  eta_s: 60,
  text_id: "",
  text_en: "",
});
const way: Way = {
  eta_s: 200,
  length_m: 2000,
  approximate: false,
  coordinates: [
    [112.74, -7.26],
    [112.74 + KM_EAST, -7.26],
    [112.74 + KM_EAST, -7.26 + KM_NORTH],
  ],
  steps: [turn("depart", 1000), turn("left", 1000), turn("arrive", 0)],
};

describe("the way", () => {
  test("says the next turn and how far it is", () => {
    const at = progress(way, { lon: 112.74 + KM_EAST * 0.4, lat: -7.26 });
    expect(way.steps[at.next]!.manoeuvre).toBe("left");
    expect(at.to_next_m).toBeCloseTo(600, -1);
    expect(at.left_m).toBeCloseTo(1600, -1);
    expect(at.off_m).toBeLessThan(1);
  });

  test("goes on to the next when a turn has been taken", () => {
    const at = progress(way, { lon: 112.74 + KM_EAST, lat: -7.26 + KM_NORTH * 0.25 });
    expect(way.steps[at.next]!.manoeuvre).toBe("arrive");
    expect(at.to_next_m).toBeCloseTo(750, -1);
  });

  test("measures how far beside it we are, between its corners too", () => {
    const at = progress(way, { lon: 112.74 + KM_EAST * 0.5, lat: -7.26 - KM_NORTH * 0.2 });
    expect(at.off_m).toBeCloseTo(200, -1);
  });

  test("is over at its end", () => {
    const at = progress(way, { lon: 112.74 + KM_EAST, lat: -7.26 + KM_NORTH });
    expect(at.next).toBe(2);
    expect(at.to_next_m).toBeCloseTo(0, 0);
  });

  test("of a single point neither fails nor invents a distance", () => {
    const at = progress(
      { ...way, coordinates: [[112.74, -7.26]], steps: [turn("arrive", 0)] },
      { lon: 112.74, lat: -7.26 },
    );
    expect(at).toMatchObject({ next: 0, to_next_m: 0, left_m: 0 });
  });
});
