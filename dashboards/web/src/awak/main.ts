import { mount } from "svelte";
import "../styles/base.css";
import App from "./App.svelte";

mount(App, { target: document.getElementById("app")! });

/** What the day without a line needs comes after what the crew needs now: on a thin line they would share it. */
const CALM_MS = 2000;

if ("serviceWorker" in navigator && import.meta.env.PROD)
  addEventListener("load", () =>
    setTimeout(() => void navigator.serviceWorker.register("/awak-sw.js", { scope: "/awak" }), CALM_MS),
  );
