/**
 * The rows of a live flow table: always up to date, but never dancing.
 *
 * The server tells the right order with every update. Rows change in place at once; the order on
 * the screen follows only every few seconds, and not while somebody is pointing at a row.
 */
import type { Flow, LiveFlows } from '../api/client';

/** The order on the screen follows after this long. */
export const SETTLE_MS = 2_500;

export class Roster {
  /** What the server told last, by id; also rows that have left its list but not the screen. */
  private rows = new Map<string, Flow>();
  private wanted: string[] = [];
  private shown: string[] = [];
  private settled = Number.NEGATIVE_INFINITY;

  /** Forgets everything, as when something else was asked for. */
  clear(): void {
    this.rows.clear();
    this.wanted = [];
    this.shown = [];
    this.settled = Number.NEGATIVE_INFINITY;
  }

  /** Takes an update in; `held` while the order must not change. */
  update(update: LiveFlows, now: number, held: boolean): void {
    for (const row of update.rows) this.rows.set(row.id, row);
    this.wanted = update.order.filter((id) => this.rows.has(id));
    const due = now - this.settled >= SETTLE_MS;
    if (this.shown.length === 0 || (due && !held)) {
      this.shown = this.wanted;
      this.settled = now;
    } else if (!held && this.shown.length < this.wanted.length) {
      // There is room below the rows that stand: nothing moves when new ones are put there.
      const present = new Set(this.shown);
      this.shown = [...this.shown, ...this.wanted.filter((id) => !present.has(id))].slice(
        0,
        this.wanted.length,
      );
    }
    this.forget();
  }

  /** The rows in the order on the screen. */
  list(): Flow[] {
    return this.shown.flatMap((id) => this.rows.get(id) ?? []);
  }

  get(id: string): Flow | undefined {
    return this.rows.get(id);
  }

  /** Whether the row is still among those that the server lists. */
  isListed(id: string): boolean {
    return this.wanted.includes(id);
  }

  private forget(): void {
    const needed = new Set([...this.wanted, ...this.shown]);
    for (const id of this.rows.keys()) if (!needed.has(id)) this.rows.delete(id);
  }
}
