/** Words and checks for alerts. */
import type {
  Alert,
  AlertState,
  BySeverity,
  MuteRequest,
  Severity,
  Suggestion,
} from '../api/client';
import { endpoint } from './format';

/** From the most to the least urgent. */
export const SEVERITIES: Severity[] = ['critical', 'high', 'medium', 'low', 'info'];

export const STATES: Record<AlertState, string> = {
  new: 'New',
  seen: 'Seen',
  resolved: 'Resolved',
  muted: 'Muted',
};

/** Who does it to whom: `10.0.0.66 → 10.0.0.5:22`. */
export function ends(alert: Alert): { from: string; to: string } {
  const many = alert.many ? 'many hosts' : '–';
  const to = alert.dest_ip ? endpoint(alert.dest_ip, alert.dest_port ?? 0) : '';
  return {
    from: alert.src_ip ?? (to || alert.many ? many : '–'),
    to:
      to || (alert.dest_port ? `port ${alert.dest_port}` : alert.many && alert.src_ip ? many : '–'),
  };
}

/** What hides this alert and its repeats, and nothing else. */
export function muteOf(alert: Alert): Required<Omit<MuteRequest, 'seconds'>> {
  return {
    rule: `${alert.gid}:${alert.sid}`,
    source: alert.src_ip ?? '',
    target: alert.dest_ip ?? '',
    port: alert.dest_port == null ? '' : String(alert.dest_port),
    reason: '',
  };
}

/** Numbers by severity in words: `2 high, 1 low`; empty where there are none. */
export function inWords(numbers: BySeverity): string {
  return SEVERITIES.filter((severity) => numbers[severity] > 0)
    .map((severity) => `${numbers[severity]} ${severity}`)
    .join(', ');
}

/** How long until then: `6 d`, `3 h`, `12 min`. */
export function remaining(untilUs: number, nowMs: number): string {
  const minutes = Math.max(0, Math.round((untilUs / 1000 - nowMs) / 60_000));
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.round(minutes / 60);
  return hours < 48 ? `${hours} h` : `${Math.round(hours / 24)} d`;
}

const WORDS: [string, string][] = [
  ['severity=critical', 'this severity or a higher one'],
  ['severity=high', 'this severity or a higher one'],
  ['severity=medium', 'this severity or a higher one'],
  ['severity=low', 'this severity or a higher one'],
  ['state=new', 'nobody has looked at it'],
  ['state=seen', 'somebody knows of it'],
  ['state=resolved', 'dealt with'],
  ['state=muted', 'hidden by a mute'],
  ['kind=behaviour', 'found by a detector'],
  ['kind=signature', 'found by a signature'],
  ['source=', 'who does it: an address or network'],
  ['target=', 'whom it is done to: an address or network'],
  ['host=', 'either side: an address or network'],
  ['port=', 'port of the service'],
  ['rule=', 'the rule: 1:2019284, port_scan, ET SCAN*'],
  ['category=', 'letters of the category'],
  ['technique=', 'technique of ATT&CK, such as T1046'],
];

/** Words of the filter that fit what stands before the cursor. */
export function suggest(
  text: string,
  cursor: number,
): { start: number; suggestions: Suggestion[] } {
  const before = [...text].slice(0, cursor);
  const start = before.lastIndexOf(' ') + 1;
  const word = before.slice(start).join('').toLowerCase();
  if (word === '') return { start, suggestions: [] };
  const suggestions = WORDS.filter(([known]) => known.startsWith(word)).map(([known, doc]) => ({
    text: known,
    doc,
  }));
  return { start, suggestions };
}
