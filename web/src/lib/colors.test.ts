import { describe, expect, it } from 'vitest';
import { Palette } from './colors';

describe('the palette', () => {
  it('gives each of eight protocols a colour of its own', () => {
    const names = ['tls', 'ftp', 'dns', 'imap', 'x1', 'x2', 'tcp', 'x3'];
    const slots = new Palette().assign(names);
    expect(new Set(slots.values()).size).toBe(8);
  });

  it('does not change colours when the order changes', () => {
    const palette = new Palette();
    const before = palette.assign(['ftp', 'imap', 'tls']);
    const after = palette.assign(['tls', 'imap', 'ftp', 'pop3']);
    for (const name of ['ftp', 'imap', 'tls']) expect(after.get(name)).toBe(before.get(name));
  });

  it('forgets protocols that are gone', () => {
    const palette = new Palette();
    for (let n = 0; n < 1_000; n += 1) palette.assign([`p${n}`]);
    expect(palette.assign(['q', 'r']).size).toBe(2);
  });
});
