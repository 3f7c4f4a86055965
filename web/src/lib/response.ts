/** Blocks of the firewall and ways to people, where this FlowTrack has them. */
import { messageOf } from '../api/client';

export interface Block {
  what: string;
  who: string;
  why: string;
  automatic: boolean;
  since_us: number;
  until_us: number;
  /** Until when it lasts once it is confirmed; `null` where nothing is to be confirmed. */
  confirmed_until_us: number | null;
  packets: number;
  bytes: number;
  ended_us: number | null;
  end: string;
}

export interface BlockList {
  firewall: string;
  problem: string;
  automatic: boolean;
  blocks: Block[];
  past: Block[];
  would_block: number;
  refused: number;
  unproved: number;
}

export interface BlockPreview {
  hours: number;
  flows: number;
  packets: number;
  bytes: number;
  hosts: number;
  names: string[];
  refused: string[];
}

export interface Channel {
  name: string;
  kind: string;
  destination: string;
  state: 'unused' | 'ok' | 'retrying' | 'failed';
  problem: string | null;
  delivered: number;
  failed: number;
  dropped: number;
  waiting: number;
}

/** What the server answered: data, or what is wrong; `missing` where it has no such thing. */
export type Answer<T> =
  | { data: T; trouble: ''; missing: false }
  | { data: null; trouble: string; missing: boolean };

async function ask<T>(method: string, path: string, body?: unknown): Promise<Answer<T>> {
  const answer = await fetch(`/api/v1${path}`, {
    method,
    ...(body === undefined
      ? {}
      : { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
  }).catch(() => null);
  const data = await answer?.json().catch(() => null);
  if (answer?.ok) return { data, trouble: '', missing: false };
  return { data: null, trouble: messageOf(data), missing: answer?.status === 404 };
}

export const response = {
  blocks: () => ask<BlockList>('GET', '/blocks'),
  block: (what: string, why: string, secs: number) =>
    ask<Block[]>('POST', '/blocks', { what: [what], why, secs }),
  preview: (what: string, hours: number) =>
    ask<BlockPreview>('POST', '/blocks/preview', { what: [what], hours }),
  unblock: (what: string) => ask<Block[]>('DELETE', `/blocks?${new URLSearchParams({ what })}`),
  confirm: (what: string) => ask<Block[]>('POST', '/blocks/confirm', { what }),
  channels: () => ask<Channel[]>('GET', '/channels'),
  test: (name: string) =>
    ask<{ delivered: boolean; problem: string | null }>(
      'POST',
      `/channels/${encodeURIComponent(name)}/test`,
    ),
};
