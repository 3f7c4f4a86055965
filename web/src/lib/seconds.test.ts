import { describe, expect, it } from 'vitest';
import type { RatePoint } from '../api/client';
import { columns, largestProtocols, merge, newest, WINDOW } from './seconds';

const point = (at: number, bytes = 1, shares: RatePoint['shares'] = []): RatePoint => ({
  at,
  bytes,
  packets: 1,
  flows_new: 0,
  tcp_segments: 0,
  retransmissions: 0,
  lost: 0,
  shares,
});

describe('merging seconds', () => {
  it('replaces what changed, adds what is new, forgets what is old', () => {
    const known = [point(1), point(2), point(WINDOW)];
    const merged = merge(known, [point(WINDOW, 9), point(WINDOW + 1)], WINDOW + 1);
    expect(merged.map((p) => [p.at, p.bytes])).toEqual([
      [2, 1],
      [WINDOW, 9],
      [WINDOW + 1, 1],
    ]);
  });

  it('never keeps more than the window, whatever comes', () => {
    const flood = Array.from({ length: 5_000 }, (_, i) => point(i));
    expect(merge([], flood, 4_999)).toHaveLength(WINDOW);
  });
});

describe('columns', () => {
  it('have a slot for each second; silence is zero, the unknown is a gap', () => {
    const { time, rate, latency } = columns([point(997, 5), point(1000, 7)], 1000);
    expect(time).toHaveLength(WINDOW);
    expect(time.at(-1)).toBe(1000);
    expect(rate((p) => p.bytes).slice(-5)).toEqual([null, 5, 0, 0, 7]);
    expect(latency((p) => p.rtt_p50_us).slice(-1)).toEqual([null]);
  });
});

describe('the newest second', () => {
  it('waits for numbers that are on their way, but not for ever', () => {
    expect(newest([point(8)], 10)).toBe(8);
    expect(newest([point(8)], 60)).toBe(57);
  });
});

describe('the largest protocols', () => {
  it('are found over all seconds, and `other` is none of them', () => {
    const points = [
      point(1, 1, [
        { protocol: 'dns', bytes: 5 },
        { protocol: 'other', bytes: 99 },
      ]),
      point(2, 1, [
        { protocol: 'tls', bytes: 7 },
        { protocol: 'dns', bytes: 1 },
      ]),
    ];
    expect(largestProtocols(points, 1)).toEqual(['tls']);
    expect(largestProtocols(points, 9)).toEqual(['tls', 'dns']);
  });
});
