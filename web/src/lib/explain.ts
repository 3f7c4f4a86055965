/** What the field's abbreviations mean. */

const HISTORY: Record<string, string> = {
  s: 'SYN',
  h: 'SYN-ACK',
  a: 'bare ACK',
  d: 'data',
  f: 'FIN',
  r: 'RST',
  c: 'wrong checksum',
  g: 'content gap',
  t: 'retransmitted data',
  w: 'window closed',
  i: 'inconsistent flags (SYN with RST)',
  q: 'FIN with SYN or RST',
};

export interface HistoryStep {
  letter: string;
  /** Who sent it; `null` where a letter has no side. */
  from: 'originator' | 'responder' | null;
  text: string;
}

/** Each letter of a Zeek history; capitals come from the originator. */
export function explainHistory(history: string): HistoryStep[] {
  return [...history].map((letter) => {
    if (letter === '^') return { letter, from: null, text: 'direction was corrected' };
    const text = HISTORY[letter.toLowerCase()];
    if (!text) return { letter, from: null, text: 'unknown' };
    return { letter, from: letter === letter.toLowerCase() ? 'responder' : 'originator', text };
  });
}

const CONN_STATES: Record<string, string> = {
  S0: 'Attempt seen, no reply',
  S1: 'Established, not ended',
  SF: 'Established and ended normally',
  REJ: 'Attempt rejected',
  S2: 'Established, the originator closes, no reply to that',
  S3: 'Established, the responder closes, no reply to that',
  RSTO: 'Established, the originator aborted',
  RSTR: 'The responder aborted',
  RSTOS0: 'SYN then RST from the originator, no SYN-ACK seen',
  RSTRH: 'SYN-ACK then RST from the responder, no SYN seen',
  SH: 'SYN then FIN from the originator, no SYN-ACK seen',
  SHR: 'SYN-ACK then FIN from the responder, no SYN seen',
  OTH: 'The beginning was not seen',
};

/** What a Zeek connection state means. */
export function explainConnState(state: string): string {
  return CONN_STATES[state] ?? '';
}

const REASONS: Record<string, string> = {
  timeout: 'nothing came for longer than its state allows',
  shutdown: 'the capture ended',
  tcp_reuse: 'the same ports began a new connection',
  forced: 'the flow table was full',
};

/** Why a flow is no longer tracked. */
export function explainReason(reason: string): string {
  return REASONS[reason] ?? reason;
}
