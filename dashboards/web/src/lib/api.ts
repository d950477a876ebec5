/** HTTP to our own server: session cookie, CSRF token, RFC 9457 problems, idempotency keys. */
import { lang } from "./lang.svelte";
import type { Account } from "./types";

export class Problem extends Error {
  constructor(
    readonly code: string,
    readonly status: number,
    readonly title: string,
    readonly field: string | null = null,
    readonly detail: unknown = null,
  ) {
    super(title);
  }
  /** Nobody answered at all: worth trying again with the same key. */
  get unreachable(): boolean {
    return this.status === 0 || this.status === 502 || this.status === 503 || this.status === 504;
  }
}

let csrf = "";

let signedOut: (() => void) | null = null;
/** What to do when the server no longer knows this browser's session, whatever was asked; null: nobody is signed in here. */
export function onSignedOut(act: (() => void) | null): void {
  signedOut = act;
}

/** A server that does not answer within this is treated as absent; a dispatcher cannot wait longer. */
const TIMEOUT_MS = 8000;

export async function call<T>(
  method: string,
  path: string,
  body?: unknown,
  options: {
    key?: string;
    token?: string;
    headers?: Record<string, string>;
    timeout_ms?: number;
    signal?: AbortSignal;
  } = {},
): Promise<T> {
  const headers: Record<string, string> = {
    Accept: "application/json",
    "Accept-Language": lang.now,
    ...options.headers,
  };
  if (body !== undefined) headers["Content-Type"] = body instanceof Blob ? body.type : "application/json";
  if (method !== "GET" && csrf) headers["X-CSRF-Token"] = csrf;
  if (options.key) headers["Idempotency-Key"] = options.key;
  if (options.token) headers["Authorization"] = `Bearer ${options.token}`;
  const patience = AbortSignal.timeout(options.timeout_ms ?? TIMEOUT_MS);
  let response: Response;
  try {
    response = await fetch(path, {
      method,
      headers,
      credentials: options.token ? "omit" : "same-origin",
      body: body === undefined || body instanceof Blob ? body : JSON.stringify(body),
      signal: options.signal ? AbortSignal.any([patience, options.signal]) : patience,
    });
  } catch {
    throw new Problem("unreachable", 0, lang.now === "en" ? "The server does not answer" : "Server tidak menjawab");
  }
  if (response.status === 204) return undefined as T;
  const text = await response.text().catch(() => {
    throw new Problem("unreachable", 0, lang.now === "en" ? "The server does not answer" : "Server tidak menjawab");
  });
  let data: unknown = null;
  try {
    data = text ? JSON.parse(text) : null;
  } catch {
    throw new Problem("bad_answer", response.status, `HTTP ${response.status}`);
  }
  if (!response.ok) {
    if (response.status === 401 && !options.token) signedOut?.();
    const p = (data ?? {}) as { code?: string; title?: string; field?: string; detail?: unknown };
    throw new Problem(
      p.code ?? "http",
      response.status,
      p.title ?? `HTTP ${response.status}`,
      p.field ?? null,
      p.detail ?? null,
    );
  }
  return data as T;
}

export const get = <T>(path: string): Promise<T> => call<T>("GET", path);

interface Session {
  account: Account;
  csrf_token: string;
}

export async function signIn(username: string, password: string): Promise<Account> {
  const s = await call<Session>("POST", "/api/v1/session", { username, password });
  csrf = s.csrf_token;
  return s.account;
}

export async function whoAmI(): Promise<Account> {
  const s = await get<Session>("/api/v1/session");
  csrf = s.csrf_token;
  return s.account;
}

export async function signOut(): Promise<void> {
  await call("DELETE", "/api/v1/session");
  csrf = "";
}

/** `dispatch/live.py` Outcome: the kinds of everything that happened, and the first id of each sort. */
export interface CommandAnswer {
  seq: number;
  events: string[];
  report_id: string | null;
  incident_id: string | null;
  assignment_ids: string[];
}

export function command(
  verb: string,
  body: Record<string, unknown>,
  key: string = crypto.randomUUID(),
): Promise<CommandAnswer> {
  return call<CommandAnswer>("POST", `/api/v1/commands/${verb}`, body, { key });
}
