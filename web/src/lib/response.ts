/** Blocks of the firewall, and ways to people. */
import { answer, api } from '../api/client';
import type { components } from '../api/schema';

export type BlockList = components['schemas']['BlockList'];
export type BlockPreview = components['schemas']['BlockPreview'];
export type Channel = components['schemas']['ChannelStatus'];

export const response = {
  blocks: () => answer(api.GET('/api/v1/blocks')),
  block: (what: string, why: string, secs: number) =>
    answer(api.POST('/api/v1/blocks', { body: { what: [what], why, secs } })),
  preview: (what: string, hours: number) =>
    answer(api.POST('/api/v1/blocks/preview', { body: { what: [what], hours } })),
  unblock: (what: string) => answer(api.DELETE('/api/v1/blocks', { params: { query: { what } } })),
  confirm: (what: string) => answer(api.POST('/api/v1/blocks/confirm', { body: { what } })),
  channels: () => answer(api.GET('/api/v1/channels')),
  test: (name: string) =>
    answer(api.POST('/api/v1/channels/{name}/test', { params: { path: { name } } })),
};
