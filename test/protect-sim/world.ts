/** Time, network and machines of a simulation. Everything that happens is an event; the seed decides when. */
import type { Link, Role, Ticker } from '../../src/kernel/protect/ports.ts';
import type { Message } from '../../src/routes/protect/engine/messages.ts';
import { Random } from '../storms/random.ts';
import { SimArea } from './disk.ts';

interface Event {
  readonly at: number;
  readonly order: number;
  readonly act: () => void;
}

export interface Network {
  /** Milliseconds, one way. */
  readonly near: number;
  readonly far: number;
  /** Share of the delay that varies: messages overtake each other. */
  readonly jitter: number;
  readonly loss: number;
  readonly doubled: number;
}

/** Many times what the longest schedule needs. */
const MOST_EVENTS = 300_000;

export class World {
  readonly random: Random;
  readonly network: Network;
  now = 0;
  /** Set when a promise was resolved: what waits for it runs before the next event. */
  resolved = false;
  /** Ordered pairs of roles that do not hear each other. */
  readonly cut = new Set<string>();
  /** How many wait for promises that any event may resolve. */
  awaiting = 0;
  readonly counts = new Map<string, number>();
  #events: Event[] = [];
  #order = 0;
  /** Of some kind never arrive. */
  isLost: (message: Message) => boolean = () => false;
  /** The share that is lost of some types of message, for as long as they are named here. */
  readonly sieve = new Map<Message['type'], number>();
  failure: string | undefined;
  readonly log: string[] = [];
  readonly verbose: boolean;

  constructor(seed: number, network: (random: Random) => Network, verbose: boolean) {
    this.random = new Random(seed);
    this.network = network(this.random);
    this.verbose = verbose;
  }

  count(what: string, by = 1): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + by);
  }

  note(text: () => string): void {
    if (this.verbose) this.log.push(`${this.now.toFixed(2)} ${text()}`);
  }

  fail(what: string): void {
    this.failure ??= `${this.now.toFixed(2)} ms: ${what}`;
  }

  /** Runs `act` after `ms`. */
  after(ms: number, act: () => void): void {
    this.#order += 1;
    push(this.#events, { at: this.now + ms, order: this.#order, act });
  }

  /** Runs events until `done`, or until that time. */
  async run(until: number, done: () => boolean = () => false): Promise<void> {
    while (this.failure === undefined && !done()) {
      const next = this.#events[0];
      if (next === undefined || next.at > until) {
        this.now = Math.max(this.now, until);
        return;
      }
      pop(this.#events);
      this.now = next.at;
      // Messages that make more of themselves let no time pass.
      if (this.#order > MOST_EVENTS) this.fail(`more than ${MOST_EVENTS} events: it never ends`);
      next.act();
      if (this.awaiting > 0) this.resolved = true;
      while (this.resolved) {
        this.resolved = false;
        await new Promise((resolve) => setImmediate(resolve));
      }
    }
  }
}

export interface Engine {
  receive(from: Role, message: Message): void;
}

/** One machine: it can be paused, crash with or without its memory of what was not synced, and start again. */
export class Machine<E extends Engine> {
  readonly world: World;
  readonly role: Role;
  readonly machines: Map<Role, Machine<Engine>>;
  readonly areas = new Map<string, SimArea>();
  /** Its clock runs so many times as fast as the world's. */
  readonly rate: number;
  readonly #offset: number;
  readonly #wallOffset: number;
  incarnation = 0;
  alive = false;
  lost = false;
  #pausedUntil = 0;
  #held: (() => void)[] = [];
  #opening = false;
  engine: E | undefined;
  readonly #open: (machine: Machine<E>) => Promise<E>;

  constructor(
    world: World,
    role: Role,
    machines: Map<Role, Machine<Engine>>,
    areas: Readonly<Record<string, number>>,
    open: (machine: Machine<E>) => Promise<E>,
  ) {
    this.world = world;
    this.role = role;
    this.machines = machines;
    this.#open = open;
    this.rate = world.random.between(0.95, 1.05);
    this.#offset = world.random.between(0, 1e6);
    // Clocks of the day are days apart.
    this.#wallOffset = 1.7e12 + world.random.between(0, 7 * 86_400_000);
    for (const [name, bytes] of Object.entries(areas)) this.areas.set(name, new SimArea(world, this, bytes));
    machines.set(role, this as unknown as Machine<Engine>);
  }

  area(name: string): SimArea {
    return this.areas.get(name) as SimArea;
  }

  /** One more with each machine: its connections end with it, and what is under way on them. */
  generation = 0;

  /** Another machine, with new disks. */
  replaceDisks(): void {
    for (const [name, { bytes }] of this.areas) this.areas.set(name, new SimArea(this.world, this, bytes));
  }

  start(): void {
    if (this.alive || this.lost) return;
    this.alive = true;
    this.incarnation += 1;
    const { incarnation } = this;
    this.world.note(() => `${this.role} starts`);
    this.world.awaiting += 1;
    this.#opening = true;
    this.#open(this).then(
      (engine) => {
        if (this.incarnation !== incarnation || !this.alive) return;
        this.engine = engine;
        this.#opened();
      },
      (error: unknown) => this.world.fail(`${this.role} does not open: ${(error as Error).stack}`),
    );
  }

  /** Waits no more: it is open, or died before. */
  #opened(): void {
    if (this.#opening) this.world.awaiting -= 1;
    this.#opening = false;
  }

  /** `power`: what was not synced is lost in part. Else only the process dies. */
  crash(power: boolean): void {
    if (!this.alive) return;
    this.world.note(() => `${this.role} ${power ? 'loses power' : 'is killed'}`);
    this.alive = false;
    this.incarnation += 1;
    this.engine = undefined;
    this.#opened();
    this.#held = [];
    this.#pausedUntil = 0;
    for (const area of this.areas.values()) area.crash(power);
  }

  pause(ms: number): void {
    if (!this.alive) return;
    this.world.note(() => `${this.role} is paused for ${ms.toFixed(0)}`);
    this.#pausedUntil = Math.max(this.#pausedUntil, this.world.now + ms);
    const { incarnation } = this;
    this.world.after(ms, () => {
      if (this.incarnation !== incarnation || this.world.now < this.#pausedUntil) return;
      const held = this.#held;
      this.#held = [];
      for (const act of held) act();
    });
  }

  get paused(): boolean {
    return this.world.now < this.#pausedUntil;
  }

  /** After `ms`, unless this incarnation is over then; later when it is paused then. */
  later(ms: number, act: () => void): void {
    const { incarnation } = this;
    this.world.after(ms, () => {
      if (this.incarnation !== incarnation || !this.alive) return;
      if (this.paused) this.#held.push(() => this.incarnation === incarnation && this.alive && act());
      else act();
    });
  }

  readonly ticker: Ticker = {
    elapsed: () => this.#offset + this.world.now * this.rate,
    now: () => Math.floor(this.#wallOffset + this.world.now * this.rate),
    after: (ms, act) => {
      let cancelled = false;
      this.later(ms / this.rate, () => {
        if (!cancelled) act();
      });
      return () => {
        cancelled = true;
      };
    },
  };

  /** The network as this incarnation sees it. */
  link(): Link<Message> {
    const { incarnation } = this;
    return {
      send: (to, message) => {
        if (this.incarnation === incarnation) this.#send(to, message);
      },
    };
  }

  #send(to: Role, message: Message): void {
    const { world } = this;
    const { network, random } = world;
    world.count(`message ${message.type}`);
    const share = world.sieve.get(message.type);
    if (world.isLost(message) || (share !== undefined && random.chance(share))) return;
    const copies = random.chance(network.doubled) ? 2 : 1;
    for (let i = 0; i < copies; i += 1) {
      if (random.chance(network.loss)) continue;
      const isFar = this.role === 'dr' || to === 'dr';
      const base = isFar ? network.far : network.near;
      const sent = this.generation + (this.machines.get(to)?.generation ?? 0);
      const delay = base * (1 + network.jitter * random.next() * random.next() * 4);
      world.after(delay, () => {
        if (world.cut.has(`${this.role}>${to}`)) return;
        const machine = this.machines.get(to);
        if (machine === undefined || !machine.alive) return;
        const generations = this.generation + machine.generation;
        if (generations !== sent) return;
        machine.later(0, () => {
          if (this.generation + machine.generation !== sent) return;
          world.note(() => `${this.role}>${to} ${brief(message)}`);
          machine.engine?.receive(this.role, message);
        });
      });
    }
  }
}

function brief(message: Message): string {
  return JSON.stringify(message, (_, value: unknown) => {
    const bytes = value as { type?: string; data?: unknown[] } | null;
    return bytes?.type === 'Buffer' ? `${bytes.data?.length} bytes` : value;
  });
}

function before(a: Event, b: Event): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}

function push(heap: Event[], event: Event): void {
  let at = heap.push(event) - 1;
  while (at > 0) {
    const parent = (at - 1) >> 1;
    if (!before(event, heap[parent] as Event)) break;
    heap[at] = heap[parent] as Event;
    at = parent;
  }
  heap[at] = event;
}

function pop(heap: Event[]): void {
  const last = heap.pop() as Event;
  const { length } = heap;
  if (length === 0) return;
  let at = 0;
  for (;;) {
    let child = 2 * at + 1;
    if (child >= length) break;
    if (child + 1 < length && before(heap[child + 1] as Event, heap[child] as Event)) child += 1;
    if (!before(heap[child] as Event, last)) break;
    heap[at] = heap[child] as Event;
    at = child;
  }
  heap[at] = last;
}
