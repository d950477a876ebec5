/** Asks to be woken while the phone sleeps (Web Push), where browser, person and server allow it. */
import { call } from "../lib/api";

export type Waking = "on" | "off" | "forbidden" | "impossible";

interface Offer {
  key: string | null;
  subscribed: boolean;
}

const possible = (): boolean => "serviceWorker" in navigator && "PushManager" in window && "Notification" in window;

/** From a button: browsers ask the person only then. The permission is asked for first, before anything is awaited. */
export async function askToBeWoken(token: string): Promise<Waking> {
  if (!possible()) return "impossible";
  if ((await Notification.requestPermission()) !== "granted") return "forbidden";
  return renew(token);
}

/** On every start: browsers change addresses, servers forget. Never asks the person. */
export async function renew(token: string): Promise<Waking> {
  if (!possible()) return "impossible";
  if (Notification.permission === "denied") return "forbidden";
  if (Notification.permission !== "granted") return "off";
  try {
    const offer = await call<Offer>("GET", "/api/v1/unit/push", undefined, { token });
    if (!offer.key) return "impossible";
    const worker = await navigator.serviceWorker.ready;
    const key = bytes(offer.key);
    let mine = await worker.pushManager.getSubscription();
    if (mine && !same(mine.options.applicationServerKey, key)) {
      await mine.unsubscribe(); // the server has another identity than when we subscribed
      mine = null;
    }
    mine ??= await worker.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: key });
    const { endpoint, keys } = mine.toJSON();
    await call("PUT", "/api/v1/unit/push", { endpoint, p256dh: keys?.p256dh, auth: keys?.auth }, { token });
    return "on";
  } catch {
    return "off"; // no line, or the push service is out of reach: tried again on the next start
  }
}

function bytes(text: string): Uint8Array<ArrayBuffer> {
  const raw = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(raw, (c) => c.charCodeAt(0));
}

function same(a: ArrayBuffer | null, b: Uint8Array): boolean {
  if (!a) return false;
  const left = new Uint8Array(a);
  return left.length === b.length && left.every((v, i) => v === b[i]);
}
