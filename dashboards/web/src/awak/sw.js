// The crew app without a line: page and assets from the cache, the district's tiles fetched ahead, others kept as they were
// seen. Never touches /api/ answers except the map style: stale job data would be worse than none, and the app keeps its own
// last picture. Wakes the crew when a push message brings a job.
const VERSION = "__VERSION__";
const ASSETS = __ASSETS__;
const SHELL = `awak-${VERSION}`;
const TILES = "awak-tiles";
const DISTRICT = "awak-district";
/** About 8 MB of city tiles at 8 kB each. */
const TILES_MAX = 1000;
/** The server names at most 400 (dispatch/api/setup.py). */
const DISTRICT_MAX = 400;
const STYLES = ["night", "day"].map((theme) => `/api/v1/map/style.json?theme=${theme}`);

self.addEventListener("install", (event) => {
  event.waitUntil(
    caches
      .open(SHELL)
      .then((cache) => cache.addAll(["/awak", ...ASSETS]))
      .then(() => self.skipWaiting()),
  );
});

self.addEventListener("activate", (event) => {
  const ours = [SHELL, TILES, DISTRICT];
  event.waitUntil(
    caches
      .keys()
      .then((names) =>
        Promise.all(names.filter((n) => n.startsWith("awak-") && !ours.includes(n)).map((n) => caches.delete(n))),
      )
      .then(() => self.clients.claim()),
  );
});

async function pageFirstFromNet(request) {
  const cache = await caches.open(SHELL);
  try {
    const fresh = await fetch(request);
    if (fresh.ok) await cache.put("/awak", fresh.clone());
    return fresh;
  } catch {
    return (await cache.match("/awak")) ?? Response.error();
  }
}

async function cacheFirst(request) {
  return (await caches.match(request)) ?? fetch(request);
}

async function tile(request) {
  const cache = await caches.open(TILES);
  const known = (await cache.match(request)) ?? (await (await caches.open(DISTRICT)).match(request));
  const net = fetch(request).then(async (fresh) => {
    if (fresh.ok) {
      await cache.put(request, fresh.clone());
      const keys = await cache.keys();
      for (const old of keys.slice(0, Math.max(0, keys.length - TILES_MAX))) await cache.delete(old);
    }
    return fresh;
  });
  if (known) {
    net.catch(() => undefined);
    return known;
  }
  return net;
}

/** Fetch the unit's district once, one tile after the other so that a thin line stays free for the job; forget another district. */
async function keepDistrict(tiles) {
  const cache = await caches.open(DISTRICT);
  const wanted = [...STYLES, ...tiles.slice(0, DISTRICT_MAX).map((t) => `/tiles/${t}`)];
  const paths = new Set(wanted.map((path) => new URL(path, location.origin).href));
  const known = new Set();
  for (const request of await cache.keys())
    if (paths.has(request.url)) known.add(request.url);
    else await cache.delete(request);
  for (const path of paths) {
    if (known.has(path)) continue;
    try {
      const fresh = await fetch(path);
      if (fresh.ok) await cache.put(path, fresh);
    } catch {
      return; // no line: the rest at the next start
    }
  }
}

self.addEventListener("message", (event) => {
  if (event.data?.type === "district" && Array.isArray(event.data.tiles))
    event.waitUntil(keepDistrict(event.data.tiles));
});

self.addEventListener("fetch", (event) => {
  const url = new URL(event.request.url);
  if (event.request.method !== "GET" || url.origin !== location.origin) return;
  if (event.request.mode === "navigate") event.respondWith(pageFirstFromNet(event.request));
  else if (url.pathname.startsWith("/app/assets/")) event.respondWith(cacheFirst(event.request));
  else if (url.pathname.startsWith("/tiles/") || url.pathname === "/api/v1/map/style.json")
    event.respondWith(tile(event.request));
});

/** What the app has put aside for us. Resolves to undefined where it has never run. */
function kept(name) {
  return new Promise((resolve) => {
    const request = indexedDB.open("siaga-awak");
    request.onerror = () => resolve(undefined);
    request.onupgradeneeded = () => request.transaction.abort();
    request.onsuccess = () => {
      const db = request.result;
      const read = db.transaction("kept").objectStore("kept").get(name);
      read.onsuccess = () => (db.close(), resolve(read.result));
      read.onerror = () => (db.close(), resolve(undefined));
    };
  });
}

/** The desk sees that this phone has the job although nobody has looked at it yet. */
async function sayDelivered(assignment_id) {
  const token = await kept("token");
  if (!token) return;
  const headers = {
    "Content-Type": "application/json",
    Authorization: `Bearer ${token}`,
    "Idempotency-Key": crypto.randomUUID(),
  };
  await fetch("/api/v1/unit/receipt_job", {
    method: "POST",
    headers,
    body: JSON.stringify({ assignment_id, step: "delivered" }),
  }).catch(() => undefined);
}

self.addEventListener("push", (event) => {
  let said = {};
  try {
    said = event.data?.json() ?? {};
  } catch {
    // a message we cannot read still wakes: the app shows what there is
  }
  const gone = said.type === "taken_back";
  const title = gone
    ? `${said.unit_id}: tugas dibatalkan pusat`
    : `P${said.priority ?? "?"} ${said.kind ?? "Tugas baru"}`;
  event.waitUntil(
    Promise.all([
      self.registration.showNotification(title, {
        body: gone
          ? "Anda siap lagi."
          : `${said.address || "Titik di peta"}\n${said.unit_id ?? ""} · Tekan untuk menerima`,
        tag: said.assignment_id ?? "siaga",
        renotify: true,
        requireInteraction: !gone,
        vibrate: gone ? [80] : [400, 150, 400, 150, 400],
        icon: "/app/icon.svg",
        data: { assignment_id: said.assignment_id },
      }),
      gone || !said.assignment_id ? null : sayDelivered(said.assignment_id),
    ]),
  );
});

self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  event.waitUntil(
    self.clients.matchAll({ type: "window", includeUncontrolled: true }).then((windows) => {
      const open = windows.find((w) => new URL(w.url).pathname === "/awak");
      return open ? open.focus() : self.clients.openWindow("/awak");
    }),
  );
});
