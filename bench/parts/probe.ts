import { setTimeout as sleep } from 'node:timers/promises';
import type { Side } from '../lib/clusters.ts';
import { NAME } from './tools.ts';

const WRITE_EVERY_MS = 50;
const POLL_EVERY_MS = 5;
const PATIENCE_MS = 120_000;

/**
 * Lag as an outsider sees it: documents written to the source now and then,
 * and looked for at the target until they are there. From before the write to
 * the first look that finds it, so it is never too small.
 */
export class LagProbe {
  readonly lagsMs: number[] = [];
  readonly #source: Side;
  readonly #target: Side;
  readonly #outstanding = new Map<string, number>();
  #writing = true;
  readonly #ended: Promise<unknown>;

  constructor(source: Side, target: Side, label: string) {
    this.#source = source;
    this.#target = target;
    this.#ended = Promise.all([this.#write(label), this.#poll()]);
    this.#ended.catch(() => undefined); // thrown where it is awaited
  }

  /** Writes no more, and waits for what is under way. */
  async end(): Promise<number[]> {
    this.#writing = false;
    await this.#ended;
    return this.lagsMs;
  }

  async #write(label: string): Promise<void> {
    const collection = this.#source.cluster.db(NAME.db).collection<{ _id: string; at: Date }>(NAME.collection);
    for (let i = 0; this.#writing; i += 1) {
      const [id, began] = [`probe-${label}-${i}`, performance.now()];
      this.#outstanding.set(id, began);
      await collection.insertOne({ _id: id, at: new Date() });
      await sleep(Math.max(0, began + WRITE_EVERY_MS - performance.now()));
    }
  }

  async #poll(): Promise<void> {
    const collection = this.#target.cluster.db(NAME.db).collection<{ _id: string }>(NAME.collection);
    while (this.#writing || this.#outstanding.size > 0) {
      const ids = [...this.#outstanding.keys()];
      const found =
        ids.length === 0 ? [] : await collection.find({ _id: { $in: ids } }, { projection: { _id: 1 } }).toArray();
      const now = performance.now();
      for (const { _id } of found) {
        this.lagsMs.push(now - (this.#outstanding.get(_id) as number));
        this.#outstanding.delete(_id);
      }
      const [oldest] = this.#outstanding.values();
      if (oldest !== undefined && now - oldest > PATIENCE_MS) throw new Error('a probe never arrived at the target');
      await sleep(POLL_EVERY_MS);
    }
  }
}
