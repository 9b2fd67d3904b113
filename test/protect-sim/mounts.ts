/**
 * An area of one machine that another has mounted: a connection that loses nothing, but holds what is under way for
 * as long as the way is cut, and gets it there even after the sender has died.
 */
import type { AreaClient, AreaServer, Done, MountedArea } from '../../src/kernel/protect/ports.ts';
import type { Engine, Machine, World } from './world.ts';

/** Share of what is under way that gets stuck somewhere, and for how long. */
const STUCK = 0.03;
const STUCK_MS = 400;
const AGAIN_MS = 15;
/** What a sender that has died left behind may come as late as this. */
const LEFT_BEHIND_MS = 150;

interface Offer {
  readonly machine: Machine<Engine>;
  readonly incarnation: number;
  readonly area: MountedArea;
}

export class SimMounts {
  readonly #world: World;
  readonly #offers = new Map<string, Offer>();
  #count = 0;
  #held: (() => void)[] | undefined;

  constructor(world: World) {
    this.#world = world;
  }

  /** What is on its way to an area stays on its way from now on; gives what lets go of it. */
  hold(): () => void {
    const held: (() => void)[] = [];
    this.#held = held;
    return () => {
      for (const arrive of held) arrive();
    };
  }

  /** What comes from now on gets there. */
  pass(): void {
    this.#held = undefined;
  }

  server(machine: unknown): AreaServer {
    const own = machine as Machine<Engine>;
    const { incarnation } = own;
    return {
      offer: (area) => {
        this.#count += 1;
        const where = `area ${this.#count}`;
        this.#offers.set(where, { machine: own, incarnation, area });
        return where;
      },
      withdraw: (where) => {
        this.#offers.delete(where);
        this.#world.count('a mount taken back');
      },
    };
  }

  client(machine: unknown): AreaClient {
    const own = machine as Machine<Engine>;
    return {
      mount: (where) =>
        new Promise((resolve, reject) => {
          const { incarnation } = own;
          this.#travel(own.role, 'auxiliary', () => {
            const offer = this.#offers.get(where);
            this.#travel('auxiliary', own.role, () => {
              if (own.incarnation !== incarnation) return;
              this.#world.resolved = true;
              if (offer === undefined) reject(new Error('no such area'));
              else {
                this.#world.count('an area mounted');
                resolve(new SimMount(this.#world, own, offer, this.#travel));
              }
            });
          });
        }),
    };
  }

  /** Calls `arrived` once it is there; while the way is cut it waits. */
  readonly #travel = (from: string, to: string, arrived: () => void): void => {
    const { random, network, cut } = this.#world;
    const stuck = random.chance(STUCK) ? random.between(0, STUCK_MS) : 0;
    const held = to === 'auxiliary' ? this.#held : undefined;
    const arrive = () => {
      if (cut.has(`${from}>${to}`)) this.#world.after(AGAIN_MS, arrive);
      else arrived();
    };
    if (held !== undefined) held.push(arrive);
    else this.#world.after(network.near * (1 + network.jitter * random.next()) + stuck, arrive);
  };
}

class SimMount implements MountedArea {
  readonly bytes: number;
  readonly #world: World;
  readonly #machine: Machine<Engine>;
  readonly #incarnation: number;
  readonly #offer: Offer;
  readonly #travel: (from: string, to: string, arrived: () => void) => void;
  #isClosed = false;

  constructor(
    world: World,
    machine: Machine<Engine>,
    offer: Offer,
    travel: (from: string, to: string, arrived: () => void) => void,
  ) {
    this.#world = world;
    this.#machine = machine;
    this.#incarnation = machine.incarnation;
    this.#offer = offer;
    this.#travel = travel;
    this.bytes = offer.area.bytes;
  }

  read(position: number, into: Buffer): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#ask(
        (area, end) => {
          area.read(position, into).then(
            () => end(),
            (error: unknown) => end(error as Error),
          );
        },
        (error) => {
          if (error) reject(error);
          else resolve();
        },
      );
    });
  }

  write(position: number, data: Buffer, done: Done): void {
    const sent = Buffer.from(data);
    this.#ask((area, end) => area.write(position, sent, end), done);
  }

  writeDurably(position: number, data: Buffer, done: Done): void {
    const sent = Buffer.from(data);
    this.#ask((area, end) => area.writeDurably(position, sent, end), done);
  }

  clear(position: number, bytes: number, done: Done): void {
    this.#ask((area, end) => area.clear(position, bytes, end), done);
  }

  sync(done: Done): void {
    this.#ask((area, end) => area.sync(end), done);
  }

  close(): void {
    this.#isClosed = true;
  }

  #ask(act: (area: MountedArea, end: Done) => void, done: Done): void {
    const { machine, incarnation, area } = this.#offer;
    const answer: Done = (error) => {
      this.#travel('auxiliary', this.#machine.role, () => {
        if (this.#machine.incarnation !== this.#incarnation || this.#isClosed) return;
        this.#machine.later(0, () => {
          this.#world.resolved = true;
          done(error);
        });
      });
    };
    const arrive = () => {
      if (!machine.alive || machine.incarnation !== incarnation) answer(new Error('connection reset'));
      else
        machine.later(0, () =>
          act(area, (error) => {
            if (error) this.#world.count('refused by an area that was taken back');
            answer(error);
          }),
        );
    };
    const { random } = this.#world;
    this.#travel(this.#machine.role, 'auxiliary', () => {
      const isLeft = this.#machine.incarnation !== this.#incarnation && random.chance(0.8);
      if (isLeft) this.#world.count('left behind by a primary that died');
      if (isLeft) this.#world.after(random.between(0, LEFT_BEHIND_MS), arrive);
      else arrive();
    });
  }
}
