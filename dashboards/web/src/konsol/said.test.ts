import { describe, expect, it, vi } from "vitest";
import { Said } from "./said.svelte";

describe("undo", () => {
  it("takes back the latest thing that can be", () => {
    vi.useFakeTimers();
    const said = new Said();
    const undone: string[] = [];
    said.say("satu", "good", () => undone.push("satu"));
    said.say("dua", "good", () => undone.push("dua"));
    said.say("tiga");
    said.undoLast();
    said.undoLast();
    expect(undone).toEqual(["dua", "satu"]);
  });

  it("waits for the answer that is under way instead of taking back what came before", () => {
    vi.useFakeTimers();
    const said = new Said();
    const undone: string[] = [];
    said.say("satu", "good", () => undone.push("satu"));
    const pending = said.begin(true);
    said.undoLast();
    said.undoLast(); // pressed twice, meant once
    expect(pending.unwanted).toBe(true);
    expect(undone).toEqual([]);
    said.end(pending);
    said.undoLast();
    expect(undone).toEqual(["satu"]);
  });

  it("says so when what is under way cannot be taken back", () => {
    vi.useFakeTimers();
    const said = new Said();
    const undone: string[] = [];
    said.say("satu", "good", () => undone.push("satu"));
    said.begin(false);
    said.undoLast();
    expect(undone).toEqual([]);
    expect(said.toasts.at(-1)?.text).toContain("tidak dapat diurungkan");
  });
});
