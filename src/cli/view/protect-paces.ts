/** How fast numbers of a status move, from the ones that were seen of late. Pure. */
import type { RoleStatus } from '../../routes/protect/api.ts';

/** Over so long a rate is taken. */
const WINDOW_MS = 10_000;

interface Seen {
  readonly at: number;
  readonly value: number;
}

export type Counter = 'operations' | 'executed' | 'sent' | 'bringUp' | 'failback' | 'resync' | 'verify' | 'rewind';

export class Paces {
  readonly #seen = new Map<Counter, Seen[]>();

  saw(status: RoleStatus, at: number): void {
    for (const [counter, value] of countersOf(status)) {
      const list = this.#seen.get(counter) ?? [];
      const before = list.at(-1);
      // It began anew.
      if (before !== undefined && value < before.value) list.length = 0;
      list.push({ at, value });
      while (at - (list[0]?.at ?? at) > WINDOW_MS) list.shift();
      this.#seen.set(counter, list);
    }
  }

  /** In a second; nothing before two were seen. */
  rate(counter: Counter): number | undefined {
    const list = this.#seen.get(counter) ?? [];
    const [first, last] = [list[0], list.at(-1)];
    if (first === undefined || last === undefined || last.at - first.at < 100) return undefined;
    return ((last.value - first.value) * 1000) / (last.at - first.at);
  }

  /** Seconds until what is left is done at that rate. */
  left(counter: Counter, remaining: number): number | undefined {
    const rate = this.rate(counter);
    return rate === undefined || rate <= 0 ? undefined : remaining / rate;
  }
}

function countersOf(status: RoleStatus): readonly (readonly [Counter, number])[] {
  switch (status.role) {
    case 'primary':
      return [
        ['operations', status.last],
        ['sent', status.peers.dr.data.sent],
        // They count what is left: what is done grows as that shrinks.
        ['resync', -status.resyncBytes],
        ['verify', status.verify?.comparedBytes ?? 0],
      ];
    case 'auxiliary':
      return [['operations', status.last]];
    case 'dr':
      return [
        ['operations', status.last],
        ['executed', status.base],
        ['bringUp', -(status.bringUp?.bytes ?? 0)],
        ['failback', status.failback?.bytes ?? 0],
        ['rewind', status.rewind?.copy?.bytes ?? 0],
      ];
  }
}
