// The crew app without a line: page and assets from the cache, tiles kept as they were seen. Never touches /api/ answers
// except the map style: stale job data would be worse than none, and the app keeps its own last picture.
const VERSION = "__VERSION__";
const ASSETS = __ASSETS__;
const SHELL = `awak-${VERSION}`;
const TILES = "awak-tiles";
/** About 8 MB of city tiles at 8 kB each. */
const TILES_MAX = 1000;

self.addEventListener("install", (event) => {
  event.waitUntil(
    caches
      .open(SHELL)
      .then((cache) => cache.addAll(["/awak", ...ASSETS]))
      .then(() => self.skipWaiting()),
  );
});

self.addEventListener("activate", (event) => {
  event.waitUntil(
    caches
      .keys()
      .then((names) =>
        Promise.all(
          names.filter((n) => n.startsWith("awak-") && n !== SHELL && n !== TILES).map((n) => caches.delete(n)),
        ),
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
  const known = await cache.match(request);
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

self.addEventListener("fetch", (event) => {
  const url = new URL(event.request.url);
  if (event.request.method !== "GET" || url.origin !== location.origin) return;
  if (event.request.mode === "navigate") event.respondWith(pageFirstFromNet(event.request));
  else if (url.pathname.startsWith("/app/assets/")) event.respondWith(cacheFirst(event.request));
  else if (url.pathname.startsWith("/tiles/") || url.pathname === "/api/v1/map/style.json")
    event.respondWith(tile(event.request));
});
