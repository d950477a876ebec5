import { describe, expect, test } from "vitest";
import { parse } from "./commandline";

const known = {
  units: ["A01", "A12", "PMK03", "M7"],
  incidents: ["261123-0147", "261124-0145", "261124-0147"],
  posts: [
    { code: "PT-PUSAT", name: "Posko Terpadu Pusat" },
    { code: "PP-BUNGKUL", name: "Pos Pantau Taman Bungkul" },
  ],
};
const order = (line: string) => {
  const p = parse(line, known);
  return p.ok ? p.order : p.why;
};

describe("command line", () => {
  test("kirim A12 ke 0147 sends to the newest incident of that number", () => {
    expect(order("kirim A12 ke 0147")).toEqual({ do: "send", unit: "A12", incident: "261124-0147" });
  });

  test("numbers may be typed as they are said, without zeros and in any case", () => {
    expect(order("KIRIM a1 145")).toEqual({ do: "send", unit: "A01", incident: "261124-0145" });
    expect(order("status pmk3 siap")).toEqual({ do: "state", unit: "PMK03", to: "available", reason: "" });
  });

  test("status with a reason keeps the reason", () => {
    expect(order("status M7 rusak ban bocor")).toEqual({
      do: "state",
      unit: "M7",
      to: "out_of_service",
      reason: "ban bocor",
    });
  });

  test("gabung needs two different incidents", () => {
    expect(order("gabung 0147 ke 0145")).toEqual({ do: "merge", incident: "261124-0147", into: "261124-0145" });
    expect(order("gabung 0145 ke 0145")).toBe("incident");
  });

  test("geser finds a post by part of its name", () => {
    expect(order("geser A12 ke bungkul")).toEqual({ do: "move", unit: "A12", post: "PP-BUNGKUL" });
  });

  test("catat keeps every word of the note, fillers too", () => {
    expect(order("catat 0147 korban dibawa ke tepi")).toEqual({
      do: "note",
      incident: "261124-0147",
      text: "korban dibawa ke tepi",
    });
  });

  test("cari, tutup and a bare number", () => {
    expect(order("cari darmo pojok bengawan")).toEqual({ do: "find", text: "darmo pojok bengawan" });
    expect(order("tutup 0147")).toEqual({ do: "close", incident: "261124-0147" });
    expect(order("0145")).toEqual({ do: "open", incident: "261124-0145" });
  });

  test("what is wrong is named", () => {
    expect(order("")).toBe("empty");
    expect(order("terbang A12")).toBe("verb");
    expect(order("kirim Z9 ke 0147")).toBe("unit");
    expect(order("kirim A12")).toBe("incident");
    expect(order("status A12 senang")).toBe("state");
    expect(order("geser A12 ke bulan")).toBe("post");
    expect(order("cari")).toBe("text");
  });
});
