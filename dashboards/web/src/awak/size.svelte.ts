/** Letters as large as these eyes need: the whole app is measured in rem. Kept on the phone. */
const KEY = "siaga.size";
export const SIZES = [100, 125, 150, 175, 200] as const;
/** From here on a screen holds too little for a fixed frame: everything but the one button scrolls. */
const LARGE = 140;

const stored = Number(globalThis.localStorage?.getItem(KEY) ?? 100);
let now = $state<number>((SIZES as readonly number[]).includes(stored) ? stored : 100);

function apply(): void {
  if (globalThis.document) document.documentElement.style.fontSize = now === 100 ? "" : `${now}%`;
}
apply();

export const size = {
  get now(): number {
    return now;
  },
  get large(): boolean {
    return now > LARGE;
  },
  set(next: number): void {
    now = next;
    localStorage.setItem(KEY, String(next));
    apply();
  },
};
