import { throwIfAborted } from '../../kernel/errors.ts';
import type { Cluster } from './cluster.ts';
import type { WireConnection } from './wire/connection.ts';

/** A pair of connections, one to each side. */
export interface Lane {
  readonly source: WireConnection;
  readonly target: WireConnection;
}

export interface LanePoolOptions {
  readonly source: Cluster;
  readonly target: Cluster;
  readonly readFrom: 'primary' | 'secondary';
  /** A connection to a certain member of the source, in place of `readFrom`. */
  readonly connectSource?: (signal: AbortSignal) => Promise<WireConnection>;
  /** Told of a fresh connection to the source before it is used. */
  readonly prepare?: (source: WireConnection, signal: AbortSignal) => Promise<void>;
}

/** Lends connection pairs. One that failed, or was stopped, is not lent again. */
export class LanePool {
  readonly #options: LanePoolOptions;
  readonly #idle: Lane[] = [];

  constructor(options: LanePoolOptions) {
    this.#options = options;
  }

  /** Runs `work` on a lane; the signal cuts it off at once. */
  async use<T>(signal: AbortSignal, work: (lane: Lane) => Promise<T>): Promise<T> {
    const lane = this.#idle.pop() ?? (await this.#open(signal));
    const stop = () => closeLane(lane);
    signal.addEventListener('abort', stop, { once: true });
    try {
      const result = await work(lane);
      // A stop in the last moment has closed the lane.
      if (!signal.aborted) this.#idle.push(lane);
      return result;
    } catch (error) {
      stop();
      throwIfAborted(signal);
      throw error;
    } finally {
      signal.removeEventListener('abort', stop);
    }
  }

  /** Closes the lanes that wait for work. */
  close(): void {
    for (const lane of this.#idle.splice(0)) closeLane(lane);
  }

  async #open(signal: AbortSignal): Promise<Lane> {
    const { source, target, readFrom, connectSource, prepare } = this.#options;
    const from = await (connectSource?.(signal) ??
      (readFrom === 'primary' ? source.connectPrimary(signal) : source.connectSecondary(signal)));
    try {
      await prepare?.(from, signal);
      return { source: from, target: await target.connectPrimary(signal) };
    } catch (error) {
      from.close();
      throw error;
    }
  }
}

function closeLane(lane: Lane): void {
  lane.source.close();
  lane.target.close();
}
