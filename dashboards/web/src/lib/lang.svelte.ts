/**
 * Two languages, written side by side where they are used: `L("Kirim", "Send")`.
 * A dictionary file would only put the words far from the button they stand on.
 */
export type Lang = "id" | "en";

const stored = (globalThis.localStorage?.getItem("siaga.lang") ?? "id") as Lang;
let current = $state<Lang>(stored === "en" ? "en" : "id");

export const lang = {
  get now(): Lang {
    return current;
  },
  set(next: Lang): void {
    current = next;
    localStorage.setItem("siaga.lang", next);
    document.documentElement.lang = next;
  },
};

export function L(id: string, en: string): string {
  return current === "en" ? en : id;
}

/** The name in the reader's language of anything that carries both. */
export function named(thing: { name_id: string; name_en: string } | undefined, fallback: string): string {
  if (!thing) return fallback;
  return current === "en" ? thing.name_en : thing.name_id;
}

/** 1234.5 -> "1.234,5" in Indonesian, "1,234.5" in English. */
export function decimal(value: number, digits = 0): string {
  return value.toLocaleString(current === "en" ? "en-GB" : "id-ID", {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  });
}
