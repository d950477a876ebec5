import { fileURLToPath } from "node:url";
import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vitest/config";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** One HTML entry per reader, so that a citizen never downloads the dispatcher's console. */
const APPS = ["konsol", "awak", "lapor", "publik", "dasbor", "dinding"];

export default defineConfig({
  base: "/app/",
  plugins: [svelte()],
  build: {
    outDir: here("../static/app"),
    emptyOutDir: true,
    target: "es2022",
    // Inline data: URLs would need a wider Content-Security-Policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 1200,
    rollupOptions: { input: Object.fromEntries(APPS.map((app) => [app, here(`./${app}.html`)])) },
  },
  worker: { format: "es" },
  server: {
    proxy: Object.fromEntries(
      ["/api", "/tiles", "/mock"].map((path) => [path, { target: "http://127.0.0.1:8199", ws: true }]),
    ),
  },
  test: { include: ["src/**/*.test.ts"], environment: "node" },
});
