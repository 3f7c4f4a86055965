import { describe, expect, it } from 'vitest';
import type { Alert } from '../api/client';
import { ends, inWords, muteOf, remaining, suggest } from './alerts';

const alert = (part: Partial<Alert>): Alert => ({
  id: 1,
  kind: 'behaviour',
  gid: 1000,
  sid: 101,
  name: 'port_scan/vertical',
  severity: 'high',
  category: 'reconnaissance',
  technique: null,
  title: '',
  explanation: '',
  src_ip: '10.0.0.1',
  dest_ip: '2001:db8::1',
  dest_port: 22,
  proto: 'TCP',
  first_us: 0,
  last_us: 0,
  count: 1,
  occurrences: 1,
  many: false,
  evidence: [],
  flows: [],
  source_proved: true,
  state: 'new',
  muted_by: null,
  reopened: 0,
  note: '',
  ...part,
});

describe('alerts', () => {
  it('say who does it to whom', () => {
    expect(ends(alert({}))).toEqual({ from: '10.0.0.1', to: '[2001:db8::1]:22' });
    const flood = alert({ src_ip: null, many: true });
    expect(ends(flood)).toEqual({ from: 'many hosts', to: '[2001:db8::1]:22' });
    const spread = alert({ dest_ip: null, dest_port: null, many: true });
    expect(ends(spread)).toEqual({ from: '10.0.0.1', to: 'many hosts' });
    expect(ends(alert({ src_ip: null, dest_ip: null, dest_port: null }))).toEqual({
      from: '–',
      to: '–',
    });
  });

  it('are muted by what they are', () => {
    expect(muteOf(alert({ dest_port: null }))).toEqual({
      rule: '1000:101',
      source: '10.0.0.1',
      target: '2001:db8::1',
      port: '',
      reason: '',
    });
  });

  it('are counted in words', () => {
    expect(inWords({ info: 0, low: 1, medium: 0, high: 2, critical: 0 })).toBe('2 high, 1 low');
    expect(inWords({ info: 0, low: 0, medium: 0, high: 0, critical: 0 })).toBe('');
  });

  it('stay muted for a while', () => {
    expect(remaining(30 * 60e6, 0)).toBe('30 min');
    expect(remaining(3 * 3600e6, 0)).toBe('3 h');
    expect(remaining(7 * 86400e6, 0)).toBe('7 d');
    expect(remaining(0, 1e9)).toBe('0 min');
  });

  it('are asked for in words', () => {
    expect(suggest('ssh sev', 7).start).toBe(4);
    expect(suggest('ssh sev', 7).suggestions.map((s) => s.text)).toContain('severity=high');
    expect(suggest('', 0).suggestions).toEqual([]);
    expect(suggest('state=', 6).suggestions).toHaveLength(4);
  });
});
