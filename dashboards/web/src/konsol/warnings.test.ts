import { expect, test } from "vitest";
import { remedyText, rungName } from "./warnings";

test("a remedy says who, how much sooner and with what chance", () => {
  expect(remedyText({ kind: "faster_unit", unit_id: "A07", gain_s: 83.4, chance: 0.91 }, null)).toBe(
    "A07: 83 dtk lebih cepat, peluang 91 %",
  );
  expect(remedyText({ kind: "volunteer", unit_id: "A88", gain_s: null, chance: 0.4 }, null)).toContain(
    "belum ada yang menuju",
  );
});

test("an agency whose units nobody sees is to be rung up", () => {
  expect(remedyText({ kind: "mutual_aid", agency: "basarnas" }, null)).toContain("Telepon basarnas");
});

test("the rungs of the ladder have names", () => {
  expect([1, 2, 3].map(rungName)).toEqual(["dispatcher", "penyelia", "manajer piket"]);
});
