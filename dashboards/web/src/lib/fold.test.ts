import { describe, expect, test } from "vitest";
import { applyChanges, applyPositions, emptyWorld, forgetEnded, fromSnapshot, subjects, type World } from "./fold";
import type { Assignment, Entry, Incident, Report, StreamMessage, Unit } from "./types";

type Changes = Extract<StreamMessage, { type: "changes" }>;
type Snapshot = Extract<StreamMessage, { type: "snapshot" }>;

/** Small seeded generator (mulberry32): a failing run repeats by its seed. */
function random(seed: number): () => number {
  let a = seed;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

const at = (n: number): string => new Date(Date.UTC(2026, 10, 24) + n * 1000).toISOString();

/** A server in miniature: keeps rows, and tells every change as the real one does. */
class Server {
  seq = 0;
  reports = new Map<string, Report>();
  incidents = new Map<string, Incident>();
  units = new Map<string, Unit>();
  assignments = new Map<string, Assignment>();

  snapshot(): Snapshot {
    return structuredClone({
      type: "snapshot",
      seq: this.seq,
      at: at(this.seq),
      reports: [...this.reports.values()],
      incidents: [...this.incidents.values()],
      units: [...this.units.values()],
      assignments: [...this.assignments.values()],
      positions: [],
    });
  }

  change(next: () => number): Changes {
    const entries: Entry[] = [];
    const message: Changes = {
      type: "changes",
      seq: 0,
      at: "",
      reports: [],
      incidents: [],
      units: [],
      assignments: [],
      entries,
    };
    const lines = 1 + Math.floor(next() * 3);
    for (let n = 0; n < lines; n++) {
      this.seq++;
      const id = String(Math.floor(next() * 12));
      entries.push({
        seq: this.seq,
        at: at(this.seq),
        actor: { role: "system", name: "engine" },
        event: { kind: "incident_noted", incident_id: id },
      });
      const stamp = { version: this.seq } as unknown;
      const kind = Math.floor(next() * 4);
      if (kind === 0) {
        const row = {
          incident_id: id,
          state: "waiting",
          assignment_ids: [],
          report_ids: [],
          ...(stamp as object),
        } as unknown as Incident;
        this.incidents.set(id, row);
        message.incidents!.push(row);
      } else if (kind === 1) {
        const row = { unit_id: id, state: "available", crew: [String(this.seq)] } as unknown as Unit;
        this.units.set(id, row);
        message.units!.push(row);
      } else if (kind === 2) {
        const row = { assignment_id: id, state: "alerted", ...(stamp as object) } as unknown as Assignment;
        this.assignments.set(id, row);
        message.assignments!.push(row);
      } else {
        const row = { report_id: id, state: "ringing", rang_at: at(this.seq) } as unknown as Report;
        this.reports.set(id, row);
        message.reports!.push(row);
      }
    }
    return structuredClone({ ...message, seq: this.seq, at: at(this.seq) });
  }
}

const plain = (w: World) => ({
  seq: w.seq,
  reports: [...w.reports].sort(),
  incidents: [...w.incidents].sort(),
  units: [...w.units].sort(),
  assignments: [...w.assignments].sort(),
});

describe("fold", () => {
  test.each([1, 2, 3, 4, 5, 6, 7, 8])("a snapshot plus its changes equals a fresh snapshot (seed %i)", (seed) => {
    const next = random(seed);
    const server = new Server();
    for (let n = 0; n < 20; n++) server.change(next);
    const world = fromSnapshot(server.snapshot());
    for (let n = 0; n < 60; n++) {
      expect(applyChanges(world, server.change(next))).toBe("applied");
      expect(plain(world)).toEqual(plain(fromSnapshot(server.snapshot())));
    }
  });

  test("a repeated message after a reconnect changes nothing", () => {
    const next = random(9);
    const server = new Server();
    const world = fromSnapshot(server.snapshot());
    const message = server.change(next);
    applyChanges(world, message);
    const before = structuredClone(plain(world));
    expect(applyChanges(world, message)).toBe("old");
    expect(plain(world)).toEqual(before);
  });

  test("a missing line is noticed and nothing is applied", () => {
    const next = random(10);
    const server = new Server();
    const world = fromSnapshot(server.snapshot());
    server.change(next);
    const later = server.change(next);
    expect(applyChanges(world, later)).toBe("gap");
    expect(world.seq).toBe(0);
  });

  test("a late packet does not move a unit back", () => {
    const world = emptyWorld();
    applyPositions(world, [{ unit_id: "A01", lon: 112.7, lat: -7.2, fixed_at: at(10) }]);
    applyPositions(world, [{ unit_id: "A01", lon: 112.6, lat: -7.1, fixed_at: at(5) }]);
    expect(world.positions.get("A01")?.lon).toBe(112.7);
  });

  test("what ended over an hour ago is forgotten with its reports and assignments, what is open stays", () => {
    const world = emptyWorld();
    const ended = {
      incident_id: "1",
      ended_at: at(0),
      report_ids: ["r1"],
      assignment_ids: ["a1"],
    } as unknown as Incident;
    const open = {
      incident_id: "2",
      ended_at: null,
      report_ids: ["r2"],
      assignment_ids: ["a2"],
    } as unknown as Incident;
    world.incidents.set("1", ended).set("2", open);
    for (const n of ["1", "2"]) {
      world.reports.set(`r${n}`, { report_id: `r${n}`, incident_id: n } as unknown as Report);
      world.assignments.set(`a${n}`, { assignment_id: `a${n}` } as unknown as Assignment);
    }
    forgetEnded(world, Date.parse(at(3601)));
    expect([...world.incidents.keys()]).toEqual(["2"]);
    expect([...world.reports.keys()]).toEqual(["r2"]);
    expect([...world.assignments.keys()]).toEqual(["a2"]);
  });

  test("a line is found under every incident it speaks of", () => {
    const entry = {
      seq: 1,
      at: at(1),
      actor: "system:engine",
      event: { kind: "incident_merged", incident_id: "1", into: "2" },
    };
    expect(subjects(entry)).toEqual(["1", "2"]);
  });
});
