/** The five minutes of numbers behind the charts. */
import type { RatePoint } from '../api/client';

/** Seconds that the charts show. */
export const WINDOW = 300;

/** Brings changed and new seconds in and lets old ones go; both lists are oldest first. */
export function merge(known: RatePoint[], changed: RatePoint[], now: number): RatePoint[] {
  const byTime = new Map(known.map((point) => [point.at, point]));
  for (const point of changed) byTime.set(point.at, point);
  return [...byTime.values()]
    .filter((point) => point.at > now - WINDOW && point.at <= now)
    .sort((a, b) => a.at - b.at);
}

/** The numbers of a second come so much later at most, in seconds. */
const LAG = 3;

/**
 * The newest second that is complete: the last one that is known, unless it is so old that there
 * must have been silence since.
 */
export function newest(points: RatePoint[], now: number): number {
  return Math.max(points.at(-1)?.at ?? 0, now - LAG);
}

/** Columns for the charts, one slot per second up to `now`; seconds without traffic are 0. */
export function columns(points: RatePoint[], now: number) {
  const time = Array.from({ length: WINDOW }, (_, i) => now - WINDOW + 1 + i);
  const byTime = new Map(points.map((point) => [point.at, point]));
  // Before the first second that was seen there is nothing to tell, not even zero.
  const first = points[0]?.at ?? now + 1;
  const rate = (value: (point: RatePoint) => number) =>
    time.map((at) => {
      const point = byTime.get(at);
      return point ? value(point) : at < first ? null : 0;
    });
  const latency = (value: (point: RatePoint) => number | null | undefined) =>
    time.map((at) => {
      const point = byTime.get(at);
      return (point && value(point)) ?? null;
    });
  return { time, rate, latency };
}

/** The protocols that carried most bytes in these seconds, at most `most`, without `other`. */
export function largestProtocols(points: RatePoint[], most: number): string[] {
  const sums = new Map<string, number>();
  for (const point of points) {
    for (const { protocol, bytes } of point.shares) {
      if (protocol !== 'other') sums.set(protocol, (sums.get(protocol) ?? 0) + bytes);
    }
  }
  return [...sums]
    .sort((a, b) => b[1] - a[1])
    .slice(0, most)
    .map(([name]) => name);
}

/** Bytes of a protocol in a second; `other` is what the named ones leave. */
export function shareOf(point: RatePoint, protocol: string): number {
  return point.shares.find((share) => share.protocol === protocol)?.bytes ?? 0;
}
