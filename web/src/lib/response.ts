/** Blocks of the firewall and ways to people, where this FlowTrack has them. */
import { messageOf } from '../api/client';
import type { components } from '../api/schema';

export type Block = components['schemas']['BlockRow'];
export type BlockList = components['schemas']['BlockList'];
export type BlockPreview = components['schemas']['BlockPreview'];
export type Channel = components['schemas']['ChannelStatus'];

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
