/** One clock for a whole screen: ticks every second on the server's time, so that no two rings disagree. */

let offset_ms = 0;
let now_ms = $state(Date.now());

export const time = {
  get now_ms(): number {
    return now_ms;
  },
  /** To the millisecond, for a time stamp; `now_ms` is for drawing. */
  get exact_ms(): number {
    return Date.now() + offset_ms;
  },
  /** What to add to a time of this device's clock to get the server's; 0 until it has been heard. */
  get offset_ms(): number {
    return offset_ms;
  },
  /** Look at the clock now: a hidden page's own timers may come once a minute, the line's messages come at once. */
  tick(): void {
    now_ms = Date.now() + offset_ms;
  },
  /** The server said it is `at`: small differences are the line's delay, only a clock set wrong is corrected. */
  hear(at: string): void {
    const difference = Date.parse(at) - Date.now();
    if (Math.abs(difference - offset_ms) > 1500) {
      offset_ms = difference;
      now_ms = Date.now() + offset_ms;
    }
  },
};

if (typeof window !== "undefined") {
  setInterval(() => {
    const tick = (): void => void (now_ms = Date.now() + offset_ms);
    // With the frame, so that what the line brought in the same moment is drawn once.
    if (document.hidden) tick();
    else requestAnimationFrame(tick);
  }, 1000);
}
