/** What has not reached the server yet, in IndexedDB: a dead phone or a tunnel loses none of it. */
import type { Action } from "./steps";

const DATABASE = "siaga-awak";
/** Also named in sw.js, which reads `kept` to say that a job has arrived. */
const VERSION = 3;

/** A picture that waits for the line. */
export interface Picture {
  key: string;
  order: number;
  assignment_id: string;
  device_at: string;
  blob: Blob;
}

function open(): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(DATABASE, VERSION);
    request.onupgradeneeded = (event) => {
      if (event.oldVersion < 1) {
        request.result.createObjectStore("outbox", { keyPath: "key" });
        request.result.createObjectStore("kept");
      }
      if (event.oldVersion < 2) request.result.createObjectStore("pictures", { keyPath: "key" });
      if (event.oldVersion < 3) request.result.createObjectStore("track", { autoIncrement: true });
    };
    request.onsuccess = () => {
      // A newer release in another window must not wait for this one.
      request.result.onversionchange = () => {
        request.result.close();
        shared = null;
      };
      resolve(request.result);
    };
    request.onerror = () => reject(request.error ?? new Error("indexedDB"));
  });
}

let shared: Promise<IDBDatabase> | null = null;

async function run<T>(store: string, mode: IDBTransactionMode, work: (s: IDBObjectStore) => IDBRequest<T>): Promise<T> {
  shared ??= open();
  const db = await shared;
  return new Promise((resolve, reject) => {
    const request = work(db.transaction(store, mode).objectStore(store));
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error("indexedDB"));
  });
}

const line = <T extends { key: string; order: number }>(store: string) => ({
  all: async (): Promise<T[]> =>
    (await run<T[]>(store, "readonly", (s) => s.getAll())).sort((a, b) => a.order - b.order),
  add: (item: T): Promise<IDBValidKey> => run(store, "readwrite", (s) => s.put(item)),
  remove: (key: string): Promise<undefined> => run(store, "readwrite", (s) => s.delete(key)),
});

/** Positions in the order they were taken, numbered by the database; a restart loses none. */
export const track = {
  add: (fix: unknown): Promise<IDBValidKey> => run("track", "readwrite", (s) => s.add(fix)),
  count: (): Promise<number> => run("track", "readonly", (s) => s.count()),
  /** The oldest ones, and the number of the last of them. */
  oldest: async <T>(max: number): Promise<{ fixes: T[]; last: IDBValidKey | undefined }> => {
    const [fixes, numbers] = await Promise.all([
      run<T[]>("track", "readonly", (s) => s.getAll(null, max)),
      run("track", "readonly", (s) => s.getAllKeys(null, max)),
    ]);
    return { fixes, last: numbers.at(Math.min(fixes.length, numbers.length) - 1) };
  },
  forget: (upto: IDBValidKey): Promise<undefined> =>
    run("track", "readwrite", (s) => s.delete(IDBKeyRange.upperBound(upto))),
};

export const outbox = line<Action>("outbox");
export const pictures = line<Picture>("pictures");

/** Small things to remember over a restart: the last picture of unit and job, so that the phone opens without a line. */
export const kept = {
  get: <T>(name: string): Promise<T | undefined> =>
    run<T | undefined>("kept", "readonly", (s) => s.get(name) as IDBRequest<T | undefined>),
  set: (name: string, value: unknown): Promise<IDBValidKey> => run("kept", "readwrite", (s) => s.put(value, name)),
};
