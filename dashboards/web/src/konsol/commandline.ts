/** The Ctrl-K line: a sentence an operator would say, understood or refused with what is missing. Pure. */

export type Order =
  | { do: "send"; unit: string; incident: string }
  | { do: "withdraw"; unit: string }
  | { do: "state"; unit: string; to: "available" | "out_of_service" | "off_duty"; reason: string }
  | { do: "close"; incident: string }
  | { do: "cancel"; incident: string }
  | { do: "reopen"; incident: string }
  | { do: "merge"; incident: string; into: string }
  | { do: "note"; incident: string; text: string }
  | { do: "move"; unit: string; post: string }
  | { do: "alarm"; incident: string }
  | { do: "open"; incident: string }
  | { do: "replay"; incident: string }
  | { do: "print"; incident: string }
  | { do: "find"; text: string }
  | { do: "past"; text: string }
  | { do: "log" }
  | { do: "handover" }
  | { do: "roads" }
  | { do: "new" }
  | { do: "answer" }
  | { do: "undo" };

/** What the line may name. */
export interface Known {
  units: readonly string[];
  /** Full incident ids; the operator types the running number. */
  incidents: readonly string[];
  /** Post code and name. */
  posts: readonly { code: string; name: string }[];
}

export type Parsed =
  | { ok: true; order: Order }
  | { ok: false; why: "empty" | "verb" | "unit" | "incident" | "post" | "state" | "text"; word: string };

type Verb = Order["do"];

const VERBS: Record<string, Verb> = {
  kirim: "send",
  send: "send",
  tarik: "withdraw",
  recall: "withdraw",
  status: "state",
  tutup: "close",
  close: "close",
  batal: "cancel",
  batalkan: "cancel",
  cancel: "cancel",
  buka: "reopen",
  reopen: "reopen",
  gabung: "merge",
  gabungkan: "merge",
  merge: "merge",
  catat: "note",
  note: "note",
  geser: "move",
  move: "move",
  alarm: "alarm",
  lihat: "open",
  show: "open",
  putar: "replay",
  replay: "replay",
  cetak: "print",
  print: "print",
  riwayat: "past",
  history: "past",
  buku: "log",
  log: "log",
  serah: "handover",
  handover: "handover",
  hambatan: "roads",
  roads: "roads",
  cari: "find",
  find: "find",
  baru: "new",
  new: "new",
  jawab: "answer",
  answer: "answer",
  urungkan: "undo",
  undo: "undo",
};

const STATES: Record<string, "available" | "out_of_service" | "off_duty"> = {
  siap: "available",
  available: "available",
  rusak: "out_of_service",
  "tidak-siap": "out_of_service",
  out: "out_of_service",
  lepas: "off_duty",
  off: "off_duty",
};

/** Words that only make the sentence sound right. */
const FILLERS = new Set(["ke", "to", "unit", "kejadian", "incident", "ke-", "dengan", "with"]);

/** "a12" finds A12; "pmk3" finds PMK03: zeros before a number do not matter over the radio. */
const bare = (id: string): string =>
  id
    .toLowerCase()
    .replace(/(\D)0+(?=\d)/g, "$1")
    .replace(/^0+(?=\d)/, "");

export function findUnit(word: string, units: readonly string[]): string | null {
  const wanted = bare(word);
  return units.find((u) => bare(u) === wanted) ?? null;
}

/** By full id or running number; the newest day wins when two share a number. */
export function findIncident(word: string, incidents: readonly string[]): string | null {
  const wanted = bare(word.replace(/^#/, ""));
  const same = incidents.filter(
    (i) => i.toLowerCase() === word.toLowerCase() || bare(i.slice(i.lastIndexOf("-") + 1)) === wanted,
  );
  return same.sort().at(-1) ?? null;
}

function findPost(words: string[], posts: Known["posts"]): string | null {
  const text = words.join(" ").toLowerCase();
  if (!text) return null;
  const exact = posts.find((p) => p.code.toLowerCase() === text);
  const part = exact ?? posts.find((p) => p.name.toLowerCase().includes(text));
  return part?.code ?? null;
}

export function parse(line: string, known: Known): Parsed {
  const all = line.trim().split(/\s+/).filter(Boolean);
  const head = all[0]?.toLowerCase();
  if (!head) return { ok: false, why: "empty", word: "" };
  const verb = VERBS[head];
  if (!verb) {
    // A bare unit or incident number means "show it".
    const incident = all.length === 1 ? findIncident(head, known.incidents) : null;
    if (incident) return { ok: true, order: { do: "open", incident } };
    return { ok: false, why: "verb", word: head };
  }
  const rest = all.slice(1);
  const words = rest.filter((w) => !FILLERS.has(w.toLowerCase()));
  const no = (why: Exclude<Parsed, { ok: true }>["why"], word: string | undefined): Parsed => ({
    ok: false,
    why,
    word: word ?? "",
  });
  const yes = (order: Order): Parsed => ({ ok: true, order });

  switch (verb) {
    case "new":
    case "answer":
    case "undo":
    case "log":
    case "handover":
    case "roads":
      return yes({ do: verb });
    case "past":
      return yes({ do: "past", text: rest.join(" ") });
    case "find":
      return rest.length ? yes({ do: "find", text: rest.join(" ") }) : no("text", "");
    case "send": {
      const unit = words[0] ? findUnit(words[0], known.units) : null;
      if (!unit) return no("unit", words[0]);
      const incident = words[1] ? findIncident(words[1], known.incidents) : null;
      return incident ? yes({ do: "send", unit, incident }) : no("incident", words[1]);
    }
    case "withdraw": {
      const unit = words[0] ? findUnit(words[0], known.units) : null;
      return unit ? yes({ do: "withdraw", unit }) : no("unit", words[0]);
    }
    case "state": {
      const unit = words[0] ? findUnit(words[0], known.units) : null;
      if (!unit) return no("unit", words[0]);
      const to = STATES[words[1]?.toLowerCase() ?? ""];
      return to ? yes({ do: "state", unit, to, reason: words.slice(2).join(" ") }) : no("state", words[1]);
    }
    case "move": {
      const unit = words[0] ? findUnit(words[0], known.units) : null;
      if (!unit) return no("unit", words[0]);
      const post = findPost(words.slice(1), known.posts);
      return post ? yes({ do: "move", unit, post }) : no("post", words.slice(1).join(" "));
    }
    case "merge": {
      const incident = words[0] ? findIncident(words[0], known.incidents) : null;
      if (!incident) return no("incident", words[0]);
      const into = words[1] ? findIncident(words[1], known.incidents) : null;
      return into && into !== incident ? yes({ do: "merge", incident, into }) : no("incident", words[1]);
    }
    case "note": {
      const incident = rest[0] ? findIncident(rest[0], known.incidents) : null;
      if (!incident) return no("incident", rest[0]);
      const text = rest.slice(1).join(" ");
      return text ? yes({ do: "note", incident, text }) : no("text", "");
    }
    case "close":
    case "cancel":
    case "reopen":
    case "alarm":
    case "replay":
    case "print":
    case "open": {
      const incident = words[0] ? findIncident(words[0], known.incidents) : null;
      return incident ? yes({ do: verb, incident }) : no("incident", words[0]);
    }
  }
}
