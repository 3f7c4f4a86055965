/** An opaque mix of two `#rgb` or `#rrggbb` colours; `part` of the first. */
export function mix(first: string, second: string, part: number): string {
  const [a, b] = [channels(first), channels(second)];
  const mixed = a.map((value, i) => Math.round(value * part + (b[i] ?? 0) * (1 - part)));
  return `#${mixed.map((value) => value.toString(16).padStart(2, '0')).join('')}`;
}

/** The build shortens `#ffffff` to `#fff`. */
function channels(color: string): number[] {
  const digits = color.slice(1);
  const long = digits.length === 3 ? [...digits].map((digit) => digit + digit).join('') : digits;
  return [0, 2, 4].map((i) => Number.parseInt(long.slice(i, i + 2), 16));
}
