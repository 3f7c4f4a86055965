import { describe, expect, it } from 'vitest';
import type { Flow, LiveFlows } from '../api/client';
import { Roster, SETTLE_MS } from './roster';

const flow = (id: string, bytes: number) => ({ id, bytes_toserver: bytes }) as Flow;
const update = (order: string[], rows: Flow[]): LiveFlows => ({
  revision: 1,
  matched: order.length,
  order,
  rows,
});
const ids = (roster: Roster) => roster.list().map((row) => row.id);

describe('a roster', () => {
  it('updates rows at once and their order later', () => {
    const roster = new Roster();
    roster.update(update(['a', 'b'], [flow('a', 2), flow('b', 1)]), 0, false);
    roster.update(update(['b', 'a'], [flow('b', 9)]), 1_000, false);
    expect(ids(roster)).toEqual(['a', 'b']);
    expect(roster.list()[1]?.bytes_toserver).toBe(9);
    roster.update(update(['b', 'a'], []), SETTLE_MS, false);
    expect(ids(roster)).toEqual(['b', 'a']);
  });

  it('keeps the order while it is held', () => {
    const roster = new Roster();
    roster.update(update(['a', 'b'], [flow('a', 2), flow('b', 1)]), 0, false);
    roster.update(update(['c', 'b'], [flow('c', 9)]), 10 * SETTLE_MS, true);
    expect(ids(roster)).toEqual(['a', 'b']);
    expect(roster.isListed('a')).toBe(false);
    roster.update(update(['c', 'b'], []), 10 * SETTLE_MS + 1, false);
    expect(ids(roster)).toEqual(['c', 'b']);
    expect(roster.get('a')).toBeUndefined();
  });

  it('puts new rows below when there is room', () => {
    const roster = new Roster();
    roster.update(update(['a'], [flow('a', 1)]), 0, false);
    roster.update(update(['b', 'a'], [flow('b', 9)]), 1, false);
    expect(ids(roster)).toEqual(['a', 'b']);
  });

  it('holds no more rows than it must', () => {
    const roster = new Roster();
    for (let n = 0; n < 100; n += 1) {
      roster.update(update([`${n}`], [flow(`${n}`, n)]), n * SETTLE_MS, false);
    }
    expect(ids(roster)).toEqual(['99']);
    expect(roster.get('98')).toBeUndefined();
  });
});
