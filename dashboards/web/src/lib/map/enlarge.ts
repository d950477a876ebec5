/** A size of a map style, larger: a number, or what it is at each zoom (`interpolate`, `step`). */
export function enlarged(size: unknown, times: number): unknown {
  if (typeof size === "number") return size * times;
  if (!Array.isArray(size)) return size;
  // interpolate: [name, how, input, stop, value, stop, value...]; step: [name, input, value, stop, value...]
  const first = size[0] === "interpolate" ? 4 : size[0] === "step" ? 2 : Infinity;
  return size.map((part, n) => (n >= first && (n - first) % 2 === 0 ? enlarged(part, times) : part));
}
