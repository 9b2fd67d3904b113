/** Which operations that are not executed yet touch which bytes. */
import { overlap, type Range } from './applier.ts';
import type { Suspended } from './dr.ts';
import { changesImage } from './record.ts';

const CHUNK = 1 << 16;
/** What touches more chunks is in a list of its own. */
const LONG = 16 * CHUNK;

export class Pending {
  readonly #chunks = new Map<number, Suspended[]>();
  #long: Suspended[] = [];

  /** In their order. */
  add(entry: Suspended): void {
    const { kind, offset, length } = entry.record;
    if (!changesImage(kind)) return;
    if (length > LONG) {
      this.#long.push(entry);
      return;
    }
    for (let chunk = Math.floor(offset / CHUNK); chunk * CHUNK < offset + length; chunk += 1) {
      const list = this.#chunks.get(chunk);
      if (list === undefined) this.#chunks.set(chunk, [entry]);
      else list.push(entry);
    }
  }

  /** Those that came after `executed` and touch the range; the newest first. */
  touching(range: Range, executed: number): Suspended[] {
    const found = new Set<Suspended>();
    const isMeant = ({ record }: Suspended) => record.sequence > executed && overlap(record, range);
    this.#long = this.#long.filter(({ record }) => record.sequence > executed);
    for (const entry of this.#long) if (isMeant(entry)) found.add(entry);
    const { offset, length } = range;
    for (let chunk = Math.floor(offset / CHUNK); chunk * CHUNK < offset + length; chunk += 1) {
      const list = this.#chunks.get(chunk)?.filter(({ record }) => record.sequence > executed);
      if (list === undefined) continue;
      if (list.length === 0) this.#chunks.delete(chunk);
      else this.#chunks.set(chunk, list);
      for (const entry of list) if (isMeant(entry)) found.add(entry);
    }
    return [...found].sort((a, b) => b.record.sequence - a.record.sequence);
  }
}
