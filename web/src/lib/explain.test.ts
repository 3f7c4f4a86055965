import { describe, expect, it } from 'vitest';
import { explainHistory } from './explain';

describe('history letters', () => {
  it('tell who did what', () => {
    expect(explainHistory('Sh').map(({ from, text }) => [from, text])).toEqual([
      ['originator', 'SYN'],
      ['responder', 'SYN-ACK'],
    ]);
  });

  it('survive letters that nobody knows', () => {
    expect(explainHistory('^x<').map((step) => step.text)).toEqual([
      'direction was corrected',
      'unknown',
      'unknown',
    ]);
  });
});
