/** The typed client of the API; the types are generated from the server's description of it. */
import createClient from 'openapi-fetch';
import type { components, operations, paths } from './schema';

export const api = createClient<paths>({ baseUrl: '' });

type Schemas = components['schemas'];
export type Alert = Schemas['Alert'];
export type AlertParams = NonNullable<operations['alerts']['parameters']['query']>;
export type AlertSort = NonNullable<AlertParams['sort']>;
export type AlertState = Schemas['AlertState'];
export type BySeverity = Schemas['BySeverity'];
export type CaptureStatus = Schemas['CaptureStatus'];
export type CaptureRequest = Schemas['CaptureRequest'];
export type Certificate = Schemas['Certificate'];
export type Encryption = Schemas['Encryption'];
export type Flow = Schemas['Flow'];
export type FlowPage = Schemas['FlowPage'];
export type FlowParams = NonNullable<operations['flows']['parameters']['query']>;
export type FlowSort = NonNullable<FlowParams['sort']>;
export type Order = NonNullable<FlowParams['order']>;
export type FilterProblem = Schemas['FilterProblem'];
export type Health = Schemas['Health'];
export type HealthState = Schemas['HealthState'];
export type Host = Schemas['Host'];
export type Interface = Schemas['Interface'];
export type LiveAlerts = Schemas['LiveAlerts'];
export type LiveFlows = Schemas['LiveFlows'];
export type LiveState = Schemas['LiveState'];
export type Mute = Schemas['Mute'];
export type MutePreview = Schemas['MutePreview'];
export type MuteRequest = Schemas['MuteRequest'];
export type Protocol = Schemas['Protocol'];
export type RatePoint = Schemas['RatePoint'];
export type Severity = Schemas['Severity'];
export type Suggestion = Schemas['Suggestion'];
export type Totals = Schemas['Totals'];

/** What the server answered: data, or in words what is wrong. */
export type Answer<T> = { data: T; trouble: '' } | { data: null; trouble: string };

/** Waits for an answer that has data where all is well; never throws. */
export async function answer<T>(
  request: Promise<{ data?: T; error?: unknown }>,
): Promise<Answer<T>> {
  // A request that did not arrive says so in the browser's words, which help nobody.
  const { data, error } = await request.catch(() => ({ data: undefined, error: undefined }));
  return data === undefined ? { data: null, trouble: messageOf(error) } : { data, trouble: '' };
}

/** What to tell a person about a request that failed. */
export function messageOf(error: unknown): string {
  if (error && typeof error === 'object' && 'message' in error) return String(error.message);
  return 'FlowTrack did not answer; is it still running?';
}
