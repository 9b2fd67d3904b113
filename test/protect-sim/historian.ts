/**
 * Has the DR's image rewound to moments of which the undo log says that they can be reached, while
 * everything goes on, and compares what comes out with what the volume was then. And has the primary
 * compare both images again and again: nothing may ever differ.
 */
import { GodwitError } from '../../src/kernel/errors.ts';
import type { Done } from '../../src/kernel/protect/ports.ts';
import type { Dr } from '../../src/routes/protect/engine/dr.ts';
import type { Primary } from '../../src/routes/protect/engine/primary.ts';
import { isCurrent, rewind } from '../../src/routes/protect/engine/rewind.ts';
import { Verification } from '../../src/routes/protect/engine/verification.ts';
import type { Truth } from './truth.ts';
import type { Machine, World } from './world.ts';

const EVERY_MS = 25;
/** Moments that are looked at when all is over. */
const MOST = 40;

export class Historian {
  readonly #world: World;
  readonly #primary: Machine<Primary>;
  readonly #dr: Machine<Dr>;
  readonly #truth: Truth;
  #running = -1;

  constructor(world: World, primary: Machine<Primary>, dr: Machine<Dr>, truth: Truth) {
    this.#world = world;
    this.#primary = primary;
    this.#dr = dr;
    this.#truth = truth;
  }

  start(): void {
    this.#world.after(this.#world.random.between(0, EVERY_MS), () => {
      this.#compare();
      if (this.#running !== this.#dr.incarnation) {
        this.#running = this.#dr.incarnation;
        this.#look().then(
          () => {
            this.#running = -1;
          },
          (error: unknown) => this.#world.fail(`a rewind fails: ${(error as Error).stack}`),
        );
      }
      this.start();
    });
  }

  #compare(): void {
    const { engine } = this.#primary;
    if (engine === undefined || engine.verification !== undefined || !engine.leadership.leads) return;
    const options = { mend: false, patienceMs: 800, retryMs: 60 };
    engine.verification = new Verification(engine, options, (outcome) => {
      if (outcome instanceof GodwitError) return this.#world.count(`not compared ${outcome.code}`);
      this.#world.count('compared');
      const [first] = outcome.differing;
      if (first !== undefined) this.#world.fail(`chunk ${first.number} differs as of ${outcome.to}, nobody bent it`);
    });
    engine.verification.start();
  }

  /** One moment, at random. */
  async #look(): Promise<void> {
    const { engine } = this.#dr;
    const range = engine && this.#range(engine);
    if (engine === undefined || range === undefined) return;
    await this.check(engine, range[0] + this.#world.random.below(range[1] - range[0] + 1));
  }

  #range(dr: Dr): readonly [number, number] | undefined {
    const reach = dr.undo?.reach;
    if (reach === undefined || dr.voter.activated > 0 || !isCurrent(dr, dr.undo as NonNullable<typeof dr.undo>)) return;
    return [reach.from.sequence, dr.applied];
  }

  async check(dr: Dr, sequence: number): Promise<void> {
    const { world } = this;
    const expected = this.#volumeAt(dr, sequence);
    const { bytes } = dr.parts.areas.image;
    const into = Buffer.alloc(bytes);
    const file = {
      write: (position: number, data: Buffer, done: Done) => {
        data.copy(into, position);
        done();
      },
      sync: (done: Done) => done(),
    };
    try {
      await rewind(dr, { sequence }, file, () => {});
    } catch (error) {
      // While it was read, the oldest was let go of, or the history became another one.
      if (error instanceof GodwitError && error.code === 'GW7020') return world.count('rewound too late');
      throw error;
    }
    world.count('rewound');
    if (expected === undefined) return world.fail(`the dr can be rewound to ${sequence}, which never was`);
    if (!into.equals(expected)) world.fail(`rewound to ${sequence}, the volume is not what it was then`);
  }

  get world(): World {
    return this.#world;
  }

  #volumeAt(dr: Dr, sequence: number): Buffer | undefined {
    const { history, applied } = dr;
    const end = history.at(applied)?.record ?? history.base;
    const path = this.#truth.path(end);
    if (path === undefined) return undefined;
    const nodes = path.nodes.filter(({ record }) => record.sequence <= sequence);
    const { bytes } = dr.parts.areas.image;
    // It may have grown since then.
    const before = path.before && Buffer.concat([path.before, Buffer.alloc(bytes - path.before.length)]);
    return this.#truth.image({ nodes, before }, bytes);
  }

  /** Every moment that can be reached, or as many as that, when nothing goes on any more. */
  async all(): Promise<void> {
    const { engine } = this.#dr;
    const range = engine && this.#range(engine);
    if (engine === undefined || range === undefined) return;
    const step = Math.max(1, (range[1] - range[0]) / MOST);
    let isDone = false;
    const look = async () => {
      for (let at = range[0]; at <= range[1]; at += step) await this.check(engine, Math.floor(at));
      this.#world.count('looked at all of the past');
    };
    look().then(
      () => {
        isDone = true;
      },
      (error: unknown) => this.#world.fail(`a rewind fails: ${(error as Error).stack}`),
    );
    await this.#world.run(this.#world.now + 20_000, () => isDone);
    if (!isDone) this.#world.fail('a rewind does not end');
  }
}
