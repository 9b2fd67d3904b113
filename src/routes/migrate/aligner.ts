import type { Barrier } from '../../adapters/mongodb/index.ts';
import { POSITION_ZERO, type Position } from '../../kernel/position.ts';

/**
 * Stops the applier at an exact place of the log, so that something that
 * cannot be read as of a moment (structure) can be compared as of that place.
 */
export class Aligner {
  #position: Position | undefined;
  #arrived: () => void = () => undefined;
  #moved: () => void = () => undefined;
  #waiting: Promise<void> = Promise.resolve();

  /** For the applier: where to wait now. */
  barrier(): Barrier | undefined {
    const position = this.#position;
    if (position === undefined) return undefined;
    return {
      position,
      arrive: () => {
        this.#arrived();
        return this.#waiting;
      },
    };
  }

  /**
   * Holds the applier, lets `locate` find a place after everything applied so
   * far, lets the applier go on to exactly there, and runs `work`.
   */
  async at<T, R>(
    locate: () => Promise<{ position: Position; value: T }>,
    work: (value: T) => Promise<R>,
    orFailure: <P>(promise: Promise<P>) => Promise<P>,
  ): Promise<R> {
    try {
      await orFailure(this.#place(POSITION_ZERO));
      const { position, value } = await locate();
      await orFailure(this.#place(position));
      return await work(value);
    } finally {
      this.#position = undefined;
      this.#moved();
    }
  }

  /** Puts the barrier somewhere and waits until the applier stands at it. */
  #place(position: Position): Promise<void> {
    const release = this.#moved;
    this.#waiting = new Promise((resolve) => {
      this.#moved = resolve;
    });
    const arrival = new Promise<void>((resolve) => {
      this.#arrived = resolve;
    });
    this.#position = position;
    release();
    return arrival;
  }
}
