import { describe, expect, it } from 'vitest';
import { mix } from './mix';

describe('mixing colours', () => {
  it('takes a part of each', () => {
    expect(mix('#ff0000', '#0000ff', 0.5)).toBe('#800080');
  });

  it('knows the short form', () => {
    expect(mix('#000', '#fff', 0)).toBe('#ffffff');
    expect(mix('#2f7fd1', '#fff', 1)).toBe('#2f7fd1');
  });
});
