export type Theme = "night" | "day";

const root = globalThis.document?.documentElement;
const own = (root?.dataset.theme ?? "night") as Theme;
const key = `siaga.theme.${root?.dataset.app ?? ""}`;
const first = (globalThis.localStorage?.getItem(key) as Theme | null) ?? own;
let current = $state<Theme>(first);
if (root) root.dataset.theme = first;

/** Each application remembers its own theme: a control room is dark, a manager's laptop need not be. */
export const theme = {
  get now(): Theme {
    return current;
  },
  toggle(): void {
    current = current === "night" ? "day" : "night";
    root.dataset.theme = current;
    localStorage.setItem(key, current);
  },
};
