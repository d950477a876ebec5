/** Actions that have not reached the server yet, in IndexedDB: a dead phone or a tunnel loses none of them. */
import type { Action } from "./steps";

const DATABASE = "siaga-awak";
const STORE = "outbox";

function open(): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(DATABASE, 1);
    request.onupgradeneeded = () => {
      request.result.createObjectStore(STORE, { keyPath: "key" });
      request.result.createObjectStore("kept");
    };
    request.onsuccess = () => resolve(request.result);
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

export const outbox = {
  all: async (): Promise<Action[]> =>
    (await run<Action[]>(STORE, "readonly", (s) => s.getAll())).sort((a, b) => a.order - b.order),
  add: (action: Action): Promise<IDBValidKey> => run(STORE, "readwrite", (s) => s.put(action)),
  remove: (key: string): Promise<undefined> => run(STORE, "readwrite", (s) => s.delete(key)),
};

/** Small things to remember over a restart: the last picture of unit and job, so that the phone opens without a line. */
export const kept = {
  get: <T>(name: string): Promise<T | undefined> =>
    run<T | undefined>("kept", "readonly", (s) => s.get(name) as IDBRequest<T | undefined>),
  set: (name: string, value: unknown): Promise<IDBValidKey> => run("kept", "readwrite", (s) => s.put(value, name)),
};
