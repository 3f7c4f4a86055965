/**
 * The live state: one stream of server-sent events for the whole application.
 *
 * A page says which flows it wants; everything else comes in any case. A stream that falls silent
 * is taken for dead and opened again.
 */
import {
  type Flow,
  type FlowSort,
  type LiveAlerts,
  type LiveFlows,
  type LiveState,
  messageOf,
  type Order,
  type RatePoint,
} from '../api/client';
import { Roster } from './roster';
import { merge, newest } from './seconds';

/** Which flows a page wants. */
export interface FlowWish {
  flows: number;
  filter: string;
  sort: FlowSort;
  order: Order;
}

export type Connection = 'connecting' | 'open' | 'lost' | 'signed-out';

/** The server says something at least every five seconds. */
const SILENCE_MS = 12_000;
const RETRY_MS = [1_000, 2_000, 4_000, 8_000];
/** A tab that nobody looks at gives its connection back; browsers have few for one server. */
const HIDDEN_MS = 60_000;

class Live {
  connection = $state<Connection>('connecting');
  /** Why the connection is lost, where that is known. */
  trouble = $state('');
  state = $state.raw<LiveState | null>(null);
  seconds = $state.raw<RatePoint[]>([]);
  /** The newest second whose numbers are known. */
  second = $derived(newest(this.seconds, this.state?.at ?? 0));
  rows = $state.raw<Flow[]>([]);
  matched = $state(0);
  /** What changed among alerts, and how many nobody has seen. */
  alerts = $state.raw<LiveAlerts | null>(null);
  /** Whether `rows` answers the wish that is open now. */
  fresh = $state(false);
  /** Whether the order of `rows` must not change, because somebody is pointing at one. */
  held = false;

  private roster = new Roster();
  private wish: FlowWish = { flows: 0, filter: '', sort: 'rate', order: 'desc' };
  private source: EventSource | null = null;
  private watchdog: ReturnType<typeof setTimeout> | undefined;
  private retry: ReturnType<typeof setTimeout> | undefined;
  private failures = 0;
  private hiding: ReturnType<typeof setTimeout> | undefined;

  constructor() {
    document.addEventListener('visibilitychange', () => {
      clearTimeout(this.hiding);
      if (document.hidden) this.hiding = setTimeout(() => this.rest(), HIDDEN_MS);
      else if (!this.source && this.connection === 'open') this.open();
    });
  }

  /** Opens the stream, or opens it anew for other flows. */
  want(wish: FlowWish): void {
    const same = JSON.stringify(wish) === JSON.stringify(this.wish);
    if (same && this.source) return;
    this.wish = wish;
    this.fresh = false;
    this.open();
  }

  get(id: string): Flow | undefined {
    return this.roster.get(id);
  }

  private open(): void {
    clearTimeout(this.retry);
    this.source?.close();
    if (this.connection !== 'open') this.connection = 'connecting';
    const source = new EventSource(this.url());
    this.source = source;
    const on = (name: string, take: (data: string) => void) =>
      source.addEventListener(name, (event) => {
        this.alive();
        take(event.data);
      });
    on('state', (data) => this.restart(JSON.parse(data)));
    on('tick', (data) => this.tick(JSON.parse(data)));
    on('flows', (data) => this.takeFlows(JSON.parse(data)));
    on('alerts', (data) => (this.alerts = JSON.parse(data)));
    on('ping', () => {});
    source.onerror = () => this.lost();
    this.watch();
  }

  /** Closes the stream until the tab is looked at again. */
  private rest(): void {
    if (this.connection !== 'open') return;
    clearTimeout(this.watchdog);
    this.source?.close();
    this.source = null;
  }

  private restart(state: LiveState): void {
    this.seconds = merge([], state.seconds, state.at);
    this.state = state;
    // What the server believes this client to have begins anew with each stream.
    if (!this.fresh) this.roster.clear();
  }

  private tick(state: LiveState): void {
    this.seconds = merge(this.seconds, state.seconds, state.at);
    this.state = state;
  }

  private takeFlows(update: LiveFlows): void {
    this.roster.update(update, performance.now(), this.held && this.fresh);
    this.rows = this.roster.list();
    this.matched = update.matched;
    this.fresh = true;
  }

  private alive(): void {
    this.connection = 'open';
    this.trouble = '';
    this.failures = 0;
    this.watch();
  }

  private watch(): void {
    clearTimeout(this.watchdog);
    this.watchdog = setTimeout(() => this.lost(), SILENCE_MS);
  }

  private async lost(): Promise<void> {
    clearTimeout(this.watchdog);
    this.source?.close();
    this.source = null;
    this.connection = 'lost';
    const wait = RETRY_MS[Math.min(this.failures, RETRY_MS.length - 1)];
    this.failures += 1;
    clearTimeout(this.retry);
    this.retry = setTimeout(() => this.open(), wait);
    // The stream does not tell why it ended; an ordinary request for the same does.
    const probe = new AbortController();
    const answer = await fetch(this.url(), { signal: probe.signal }).catch(() => null);
    if (answer?.status === 401) {
      clearTimeout(this.retry);
      this.connection = 'signed-out';
    } else if (answer && !answer.ok) {
      this.trouble = messageOf(await answer.json().catch(() => null));
    }
    probe.abort();
  }

  private url(): string {
    const { flows, ...rest } = this.wish;
    return `/api/v1/live?${new URLSearchParams(flows > 0 ? { flows: `${flows}`, ...rest } : {})}`;
  }
}

export const live = new Live();
