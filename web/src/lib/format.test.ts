import { describe, expect, it } from 'vitest';
import {
  bitRate,
  bytes,
  count,
  day,
  duration,
  endpoint,
  exact,
  percent,
  protocolOf,
} from './format';

describe('numbers', () => {
  it('have three significant digits and an SI prefix', () => {
    expect([0, 7, 999, 1000, 1234, 12_345, 123_456, 999_499, 999_500].map(count)).toEqual([
      '0',
      '7',
      '999',
      '1.00k',
      '1.23k',
      '12.3k',
      '123k',
      '999k',
      '1.00M',
    ]);
  });

  it('never show 1000 of a unit', () => {
    for (let n = 1; n < 1e15; n = n * 1.7 + 1) expect(count(n)).not.toMatch(/^1000/);
  });

  it('count bits of bytes', () => {
    expect(bitRate(1_250_000)).toBe('10.0 Mbit/s');
    expect(bitRate(0)).toBe('0 bit/s');
  });

  it('name sizes', () => {
    expect(bytes(1500)).toBe('1.50 kB');
    expect(bytes(2 ** 53)).toBe('9.01 PB');
  });

  it('can be exact', () => {
    expect(exact(1_234_567)).toBe('1\u202f234\u202f567');
  });

  it('do not fail on what is no number', () => {
    expect(count(Number.NaN)).toBe('–');
  });
});

describe('durations', () => {
  it('choose the unit', () => {
    expect([0, 420, 999, 1_000, 12_400, 999_499, 999_500, 3_200_000].map(duration)).toEqual([
      '0 µs',
      '420 µs',
      '999 µs',
      '1.00 ms',
      '12.4 ms',
      '999 ms',
      '1.00 s',
      '3.20 s',
    ]);
  });

  it('join two units when long', () => {
    expect([60e6, 250e6, 3_600e6, 90_000e6].map(duration)).toEqual([
      '1 min',
      '4 min 10 s',
      '1 h',
      '1 d 1 h',
    ]);
  });

  it('say when there is none', () => {
    expect(duration(null)).toBe('–');
  });
});

describe('percentages', () => {
  it('are honest about little and about nothing', () => {
    expect(percent(0, 100)).toBe('0 %');
    expect(percent(1, 1_000_000)).toBe('< 0.01 %');
    expect(percent(1, 3)).toBe('33.3 %');
    expect(percent(0, 0)).toBe('–');
  });
});

describe('protocols', () => {
  it('are called by what was recognised, else by the transport', () => {
    expect(protocolOf({ app_proto: 'tls', proto: 'TCP' })).toBe('tls');
    expect(protocolOf({ app_proto: null, proto: 'ICMP' })).toBe('icmp');
  });
});

describe('endpoints', () => {
  it('put IPv6 in brackets and leave a port of 0 out', () => {
    expect(endpoint('192.0.2.1', 443)).toBe('192.0.2.1:443');
    expect(endpoint('2001:db8::1', 443)).toBe('[2001:db8::1]:443');
    expect(endpoint('2001:db8::1', 0)).toBe('2001:db8::1');
  });
});

describe('days', () => {
  it('are of any century', () => {
    expect(day(1_767_225_600)).toBe('2026-01-01');
    expect(day(253_402_300_799)).toBe('9999-12-31');
    expect(day(Number.MAX_SAFE_INTEGER)).toBe('–');
  });
});
