import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { svelte } from "@sveltejs/vite-plugin-svelte";
import type { Plugin, Rollup } from "vite";
import { defineConfig } from "vitest/config";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** One HTML entry per reader, so that a citizen never downloads the dispatcher's console. */
const APPS = ["konsol", "awak", "lapor", "publik", "dasbor", "dinding"];

/** Writes `awak-sw.js` with the list of everything the crew app needs when it has no line. */
function serviceWorker(): Plugin {
  return {
    name: "siaga-service-worker",
    apply: "build",
    generateBundle(_, bundle) {
      const needed = new Set<string>();
      const visit = (name: string): void => {
        const chunk = bundle[name];
        if (needed.has(name) || chunk?.type !== "chunk") return;
        needed.add(name);
        const meta = (
          chunk as Rollup.OutputChunk & { viteMetadata?: { importedCss: Set<string>; importedAssets: Set<string> } }
        ).viteMetadata;
        for (const css of meta?.importedCss ?? []) needed.add(css);
        for (const asset of meta?.importedAssets ?? []) needed.add(asset);
        for (const next of [...chunk.imports, ...chunk.dynamicImports]) visit(next);
      };
      const entry = Object.values(bundle).find((c) => c.type === "chunk" && c.isEntry && c.name === "awak");
      if (entry) visit(entry.fileName);
      for (const name of Object.keys(bundle))
        if (/ibm-plex.*\.woff2$|maplibre-gl-worker.*\.js$/.test(name)) needed.add(name);
      const assets = [...needed].sort().map((name) => `/app/${name}`);
      const version = createHash("sha256").update(assets.join()).digest("hex").slice(0, 12);
      const source = readFileSync(here("./src/awak/sw.js"), "utf8")
        .replace("__VERSION__", version)
        .replace("__ASSETS__", JSON.stringify([...assets, "/app/icon.svg", "/awak.webmanifest"]));
      this.emitFile({ type: "asset", fileName: "awak-sw.js", source });
    },
  };
}

export default defineConfig({
  base: "/app/",
  plugins: [svelte(), serviceWorker()],
  build: {
    outDir: here("../static/app"),
    emptyOutDir: true,
    target: "es2022",
    // Inline data: URLs would need a wider Content-Security-Policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 1200,
    rollupOptions: {
      checks: { pluginTimings: false },
      input: Object.fromEntries(APPS.map((app) => [app, here(`./${app}.html`)])),
    },
  },
  worker: { format: "es" },
  server: {
    proxy: Object.fromEntries(["/api", "/tiles"].map((path) => [path, { target: "http://127.0.0.1:8112", ws: true }])),
  },
  test: { include: ["src/**/*.test.ts"], environment: "node" },
});
