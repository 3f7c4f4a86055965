/**
 * A colour per protocol that stays the same while it is on the screen.
 *
 * Well-known protocols have their colour for ever; others take a free one when they first come.
 */
const SLOTS = 8;

const FIXED: Record<string, number> = {
  tls: 0,
  quic: 1,
  http: 2,
  dns: 3,
  ssh: 4,
  smb: 5,
  tcp: 6,
  udp: 7,
};

/** Slots of protocols that have none of their own. */
export class Palette {
  private given = new Map<string, number>();

  /** Gives every protocol of a chart its slot; `other` has none. */
  assign(protocols: string[]): Map<string, number> {
    const taken = new Set<number>();
    const result = new Map<string, number>();
    const late: string[] = [];
    for (const name of protocols) {
      const slot = FIXED[name] ?? this.given.get(name);
      if (name === 'other') continue;
      if (slot === undefined || taken.has(slot)) {
        late.push(name);
      } else {
        taken.add(slot);
        result.set(name, slot);
      }
    }
    for (const name of late) {
      let slot = 0;
      while (taken.has(slot) && slot < SLOTS) slot += 1;
      taken.add(slot);
      result.set(name, slot % SLOTS);
      if (!(name in FIXED)) this.given.set(name, slot % SLOTS);
    }
    for (const name of this.given.keys()) if (!result.has(name)) this.given.delete(name);
    return result;
  }
}

/** The CSS variable of a slot. */
export function slotColor(slot: number | undefined): string {
  return slot === undefined ? 'var(--series-other)' : `var(--series-${slot})`;
}
