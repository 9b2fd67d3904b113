/** One schedule: what a seed makes of three machines, a client and faults, and whether all promises were kept. */
import { GodwitError } from '../../src/kernel/errors.ts';
import type { Role } from '../../src/kernel/protect/ports.ts';
import type { Auxiliary } from '../../src/routes/protect/engine/auxiliary.ts';
import type { Dr } from '../../src/routes/protect/engine/dr.ts';
import { Failback, type GivenBack } from '../../src/routes/protect/engine/failback.ts';
import type { Message } from '../../src/routes/protect/engine/messages.ts';
import type { Experiment, Primary } from '../../src/routes/protect/engine/primary.ts';
import { type Promoted, Promotion } from '../../src/routes/protect/engine/promotion.ts';
import type { OpRecord } from '../../src/routes/protect/engine/record.ts';
import type { Policy } from '../../src/routes/protect/engine/rules.ts';
import { Switchover } from '../../src/routes/protect/engine/switchover.ts';
import { Client } from './client.ts';
import { SECTOR } from './disk.ts';
import { Heir } from './heir.ts';
import { Historian } from './historian.ts';
import { Lab } from './lab.ts';
import { Tenant } from './tenant.ts';
import { Truth } from './truth.ts';
import { type Engine, type Machine, World } from './world.ts';

/** Operations of the client after the volume was given back. */
const AFTERWARDS = 15;

export const STORIES = [
  'transient',
  'primary-lost',
  'partition',
  'primary-and-auxiliary-lost',
  'auxiliary-lost',
  'dr-lost',
  'failback',
  'replaced',
  'planned',
  'grown',
  'flapping',
] as const;
export type Story = (typeof STORIES)[number];

/** Every type of message. */
const KINDS = Object.keys({
  prepare: true,
  promise: true,
  fenced: true,
  beat: true,
  lease: true,
  order: true,
  ordered: true,
  data: true,
  stored: true,
  share: true,
  shared: true,
  mount: true,
  mountable: true,
  fetch: true,
  blocks: true,
  'ask-table': true,
  table: true,
  compare: true,
  compared: true,
  activate: true,
  activated: true,
  join: true,
  known: true,
  empty: true,
  marked: true,
  grow: true,
  grown: true,
  yield: true,
  yielded: true,
  kept: true,
  resign: true,
  invite: true,
  parted: true,
  noted: true,
  'ask-units': true,
  units: true,
  chunk: true,
  have: true,
  prove: true,
  proof: true,
  handed: true,
} satisfies Record<Message['type'], true>) as Message['type'][];

export interface ScheduleOptions {
  readonly seed: number;
  readonly story?: Story;
  readonly policy?: Policy;
  readonly experiment?: Experiment;
  /** Disks that say synced and are not. */
  readonly lyingDisks?: boolean;
  /** Writes at a DR that leads do not ask its gate. */
  readonly unguarded?: boolean;
  /** A DR gives the volume back without waiting until everything is executed. */
  readonly hasty?: boolean;
  /** A machine with new disks takes part at once, as if it had promised nothing. */
  readonly forgetful?: boolean;
  /** A promoted DR that does not look at what is pending. */
  readonly readsImage?: boolean;
  /** The primary writes into the auxiliary's area by itself, instead of by messages. */
  readonly mounted?: boolean;
  /** Who has the area mounted keeps it, whoever leads. */
  readonly neverRevokes?: boolean;
  /** The DR keeps an undo log, and its image is rewound again and again. */
  readonly rewinds?: boolean;
  /** While there are faults, of one type of message and then of another few or none arrive. */
  readonly sieves?: boolean;
  readonly verbose?: boolean;
}

export interface Outcome {
  readonly seed: number;
  readonly story: Story;
  readonly policy: Policy;
  readonly failure: string | undefined;
  readonly counts: ReadonlyMap<string, number>;
  readonly log: readonly string[];
}

class Schedule extends Lab {
  readonly story: Story;
  readonly policy: Policy;
  readonly truth: Truth;
  readonly client: Client;
  readonly imageBytes: number;
  readonly historian: Historian | undefined;
  /** It waits for a silent role for ever. */
  readonly patient: boolean;
  readonly #unguarded: boolean;
  readonly #hasty: boolean;
  readonly #readsImage: boolean;
  readonly #forgetful: boolean;
  readonly #sieves: boolean;

  constructor(options: ScheduleOptions) {
    const world = new World(
      options.seed,
      (random) => ({
        near: random.between(0.1, 1),
        far: random.pick([1, 5, 20]),
        jitter: random.pick([0.1, 0.5, 2]),
        loss: random.pick([0, 0.01, 0.1]),
        doubled: random.pick([0, 0.05]),
      }),
      options.verbose ?? false,
    );
    const { random } = world;
    // Drawn in any case: a seed with its story is the same schedule however many stories there are.
    const drawn = {
      story: random.pick(STORIES),
      policy: random.pick(['zero', 'zero', 'zero', 'seed', 'barrier'] as const),
    };
    const { story, policy } = { story: options.story ?? drawn.story, policy: options.policy ?? drawn.policy };
    const sectors = random.pick([16, 64, 128]);
    const patient = random.chance(0.4);
    const undoBytes = options.rewinds ? { undoBytes: random.pick([16, 64, 512]) * 1024 } : {};
    super(world, {
      ...undoBytes,
      policy,
      imageBytes: sectors * SECTOR,
      ringBytes: random.pick([24, 48, 96]) * 1024,
      slots: random.pick([96, 128, 256]),
      windowBytes: random.pick([8192, 65536]),
      patienceMs: patient ? undefined : 150,
      experiment: options.experiment,
      sequenced: ({ record }) => this.#sequenced(record),
      mounted: options.mounted,
      neverRevokes: options.neverRevokes,
    });
    this.story = story;
    this.policy = policy;
    this.patient = patient;
    this.#unguarded = options.unguarded ?? false;
    this.#hasty = options.hasty ?? false;
    this.#readsImage = options.readsImage ?? false;
    this.#forgetful = options.forgetful ?? false;
    this.#sieves = options.sieves ?? false;
    this.imageBytes = sectors * SECTOR;
    this.truth = new Truth();
    if (options.lyingDisks) for (const { areas } of this.machines) for (const area of areas.values()) area.lies = true;
    if (options.rewinds) this.historian = new Historian(world, this.primary, this.dr, this.truth);
    this.client = new Client(world, this.primary, this.truth, {
      operations: random.pick([20, 60, 150]) * (story === 'flapping' ? 5 : 1),
      depth: random.pick([1, 4, 16]),
      pace: random.pick([0.5, 3]),
      sectors,
      mostSectors: Math.min(sectors, 8),
      barrier: policy === 'barrier',
    });
  }

  #sequenced(record: OpRecord): void {
    const isClients = ['write', 'zeroes', 'trim', 'flush'].includes(record.kind);
    const op = isClients ? this.client.sequenced() : undefined;
    this.truth.sequenced(record, op);
    if (op !== undefined) this.client.placed(op, record.sequence);
    if (record.kind === 'epoch' && this.client.forbiddenFrom !== undefined) this.#leadsAgain();
    if (record.kind === 'mode') this.world.count(`mode ${record.offset}`);
    if (record.kind === 'resync') this.world.count('resync');
    this.world.note(
      () =>
        `sequence ${record.sequence} of ${record.epoch}: ${record.kind} ${record.kind === 'mode' ? record.offset : ''} ${op?.id ?? ''}`,
    );
  }

  async run(): Promise<void> {
    this.start();
    this.client.start();
    this.historian?.start();
    this.#faults();
    if (this.isMounted) this.#deaths();
    if (this.#sieves) this.#sift();
    const { world } = this;
    const strikes = world.random.between(20, 500) + (this.isMounted ? 300 : 0);
    await world.run(strikes);
    switch (this.story) {
      case 'transient':
        return this.#ends();
      case 'primary-lost':
        this.#lose(this.primary);
        return this.#inherits(false);
      case 'partition':
        this.#cutOff();
        await this.#inherits(false);
        return this.#seesAgain();
      case 'replaced':
        return this.#replaced();
      case 'grown':
        return this.#grown();
      case 'planned':
        return this.#planned();
      case 'failback':
        return this.#givesBack(world.random.pick([1, 1, 2]));
      case 'primary-and-auxiliary-lost': {
        const order = world.random.chance(0.5) ? [this.primary, this.auxiliary] : [this.auxiliary, this.primary];
        this.#lose(order[0] as unknown as Machine<Engine>);
        await world.run(world.now + world.random.pick([0, 20, 400]));
        this.#lose(order[1] as unknown as Machine<Engine>);
        return this.#inherits(true);
      }
      case 'flapping':
        await this.#flaps();
        if (world.random.chance(0.5)) return this.#ends();
        this.#lose(this.primary);
        return this.#inherits(false);
      case 'auxiliary-lost':
        this.#lose(this.auxiliary);
        return this.#ends();
      case 'dr-lost':
        this.#lose(this.dr);
        return this.#ends();
    }
  }

  /** The primary does not hear the others, nor they it. */
  #cutOff(): void {
    this.world.cut.add('primary>dr').add('dr>primary').add('primary>auxiliary').add('auxiliary>primary');
    this.#partitioned = true;
  }

  #partitioned = false;
  #calm = false;

  #lose(machine: Machine<Engine> | Machine<Primary> | Machine<Auxiliary> | Machine<Dr>): void {
    machine.crash(true);
    machine.lost = true;
    this.world.note(() => `${machine.role} is lost for good`);
  }

  /** Faults that pass, at random. */
  #faults(): void {
    const { world } = this;
    const { random } = world;
    const count = random.pick([0, 1, 2, 4, 8]);
    for (let i = 0; i < count; i += 1) {
      world.after(random.between(0, 600), () => {
        if (!this.#calm) this.#fault();
      });
    }
  }

  /** A line comes and goes, most often the DR's, and before it goes there are holes in what the DR holds, or in what is known of that. */
  async #flaps(): Promise<void> {
    const { world } = this;
    const { random } = world;
    for (let round = random.pick([2, 4, 8]); round > 0; round -= 1) {
      const loss = random.next();
      const lost = random.pick(['share', 'share', 'shared', 'stored', 'ordered', 'order'] as const);
      let isLost = false;
      world.isLost = ({ type }) => (type === 'data' && random.chance(loss)) || (type === lost && isLost);
      await world.run(world.now + random.between(20, 40));
      isLost = true;
      await world.run(world.now + random.between(5, 40));
      const [a, b] = random.pick([
        ['primary', 'dr'],
        ['primary', 'dr'],
        ['primary', 'auxiliary'],
        ['auxiliary', 'dr'],
      ] as const);
      world.cut.add(`${a}>${b}`).add(`${b}>${a}`);
      await world.run(world.now + random.between(50, 400));
      world.isLost = () => false;
      world.cut.clear();
      await world.run(world.now + random.pick([0, 0, 100]));
    }
  }

  /** Loss of all kinds alike is mended by what comes next; that of one kind leaves the roles with different views. */
  #sift(): void {
    const { world } = this;
    const { random, sieve } = world;
    sieve.clear();
    if (!this.#calm)
      for (let kinds = random.pick([0, 1, 1, 2]); kinds > 0; kinds -= 1)
        sieve.set(random.pick(KINDS), random.pick([0.5, 0.9, 1]));
    world.after(random.between(20, 300), () => this.#sift());
  }

  /** A primary that dies again and again leaves behind what it had on its way to the mounted area. */
  #deaths(): void {
    const { world } = this;
    const { random } = world;
    // What lies in the area matters as long as the DR has not got it.
    if (random.chance(0.5)) world.isLost = ({ type }) => type === 'data';
    for (let i = random.pick([0, 1, 2, 4]); i > 0; i -= 1) {
      world.after(random.between(100, 600), () => {
        if (this.#calm || this.primary.lost) return;
        this.primary.crash(true);
        world.after(random.pick([1, 10, 60]), () => this.primary.start());
      });
    }
  }

  #fault(): void {
    const { world } = this;
    const { random } = world;
    const machine = random.pick(this.machines);
    const kind = random.pick(['kill', 'power', 'pause', 'cut', 'full'] as const);
    world.count(`fault ${kind}`);
    const ms = random.pick([5, 60, 400]);
    if (kind === 'kill' || kind === 'power') {
      machine.crash(kind === 'power');
      world.after(ms, () => machine.start());
    } else if (kind === 'pause') machine.pause(ms);
    else if (kind === 'full') {
      world.note(() => `the disk of the image at the dr is full for ${ms}`);
      this.dr.area('image').fullUntil = world.now + ms;
      // The undo log shares it.
      if (this.historian !== undefined) this.dr.area('undo').fullUntil = world.now + ms;
    } else {
      const other = random.pick(this.machines.filter((each) => each !== machine));
      const ways = [`${machine.role}>${other.role}`, `${other.role}>${machine.role}`];
      const chosen = random.chance(0.6) ? ways : [random.pick(ways)];
      world.note(() => `cut ${chosen.join(' ')} for ${ms}`);
      for (const way of chosen) world.cut.add(way);
      world.after(ms, () => {
        for (const way of chosen) if (!this.#apart(way)) world.cut.delete(way);
      });
    }
  }

  /** Whether it is part of the partition that lasts. */
  #apart(way: string): boolean {
    return this.#partitioned && way.includes('primary');
  }

  /** No more faults: what passes has passed. */
  async #heal(): Promise<void> {
    const { world } = this;
    await world.run(world.now + 700);
    this.#calm = true;
    world.isLost = () => false;
    world.sieve.clear();
    for (const way of [...world.cut]) if (!this.#apart(way)) world.cut.delete(way);
    for (const machine of this.machines) machine.start();
  }

  /** Without a failover: everything that was begun ends, and all copies are the same; or, of two lost, nothing more is promised. */
  async #ends(): Promise<void> {
    const { world, client } = this;
    await this.#heal();
    client.finish();
    // Without the patience to end, it waits for whom it counts on, as it was told to.
    const mayStall = this.patient && !['transient', 'replaced', 'grown', 'flapping'].includes(this.story);
    const limit = world.now + (this.story === 'flapping' ? 40_000 : 4000);
    await world.run(limit, () => client.isDone);
    if (world.failure !== undefined) return;
    if (!client.isDone) {
      // The DR still lacks what it missed when the auxiliary is lost: there are no two copies to promise anything by.
      const behind = this.story === 'auxiliary-lost' && this.primary.engine?.dirty.isEmpty === false;
      if (!mayStall && !behind) world.fail('operations are not acknowledged although nothing is wrong any more');
      world.count('stalled as told');
      return;
    }
    client.stopped = true;
    const primary = this.primary.engine as Primary;
    const isLevel = () => {
      if (primary.store.applied !== primary.history.last.sequence) return false;
      if (this.story === 'dr-lost') return true;
      const dr = this.dr.engine?.standing;
      return dr !== undefined && !dr.stale && dr.base.sequence === primary.history.last.sequence;
    };
    await world.run(world.now + 4000, isLevel);
    if (world.failure !== undefined) return;
    const behind = this.story === 'auxiliary-lost' && !primary.dirty.isEmpty;
    if (!isLevel() && (mayStall || behind)) return world.count('stalled as told');
    if (!isLevel()) return world.fail('the DR does not come level although nothing is wrong any more');
    this.#checkImage('primary', this.primary.area('image').content, primary.history.last);
    if (this.story !== 'dr-lost') this.#checkImage('dr', this.dr.area('image').content, primary.history.last);
    await this.historian?.all();
    const mode = primary.modes.effective;
    if (this.patient && !['transient', 'flapping'].includes(this.story)) return;
    const wanted = { 'auxiliary-lost': 'no-auxiliary', 'dr-lost': 'no-dr' }[this.story as string] ?? 'full';
    if (mode !== wanted) {
      await world.run(world.now + 12_000, () => primary.modes.effective === wanted);
      if (primary.modes.effective !== wanted) world.fail(`the mode is ${primary.modes.effective}, not ${wanted}`);
    }
    world.count('ended level');
  }

  /** The volume becomes larger, once or twice, while it is written to; and then perhaps the primary is lost. */
  async #grown(): Promise<void> {
    const { world } = this;
    const { random } = world;
    let sectors = this.imageBytes / SECTOR;
    for (let round = random.pick([1, 1, 2]); round > 0; round -= 1) {
      const wanted = sectors + 8 * random.pick([1, 3, 9]);
      let isGrown = false;
      const ask = () => {
        const { engine } = this.primary;
        if (isGrown) return;
        if (engine?.size === wanted * SECTOR) {
          // It had grown when it died, and nobody was told.
          isGrown = true;
          this.client.grow(wanted);
        } else if (engine !== undefined && !engine.growing.isRunning) {
          engine.growing.start((sectors - 8) * SECTOR, 300, (error) => {
            if (error === undefined) world.fail('a volume was made smaller');
          });
          engine.growing.start(wanted * SECTOR, 300, (error) => {
            if (error !== undefined || isGrown) return;
            isGrown = true;
            world.count('grown');
            this.client.grow(wanted);
          });
        }
        world.after(random.between(20, 120), ask);
      };
      ask();
      await world.run(world.now + random.pick([100, 600]), () => isGrown);
      await this.#heal();
      // A DR that was away has to be level again first, over a link that loses a tenth.
      await world.run(world.now + 12_000, () => isGrown);
      if (world.failure !== undefined) return;
      if (!isGrown) return world.fail('the volume does not grow although nothing is wrong any more');
      sectors = wanted;
      this.#calm = false;
      this.#faults();
      await world.run(world.now + random.between(20, 400));
    }
    const isLost = random.chance(0.5);
    if (isLost) {
      this.#lose(this.primary);
      await this.#inherits(false);
    } else await this.#ends();
    if (world.failure !== undefined) return;
    const sizes = [this.dr.area('image').bytes, ...(isLost ? [] : [this.primary.engine?.size])];
    if (sizes.some((size) => size !== sectors * SECTOR)) world.fail(`the sizes are ${sizes}, not ${sectors * SECTOR}`);
  }

  /** The DR takes over while the primary lives, and nothing is lost; or the primary leads on. */
  async #planned(): Promise<void> {
    const { world } = this;
    const { random } = world;
    let promoted: Promoted | undefined;
    let heir: Heir | undefined;
    let running = -1;
    const ask = () => {
      const { engine } = this.dr;
      if (promoted !== undefined) return;
      if (engine !== undefined && running !== this.dr.incarnation) {
        running = this.dr.incarnation;
        const stallMs = this.#calm ? 2000 : random.pick([30, 150, 400]);
        new Switchover(engine, { retryMs: 15, stallMs }, (outcome) => {
          running = -1;
          if (outcome instanceof GodwitError) return world.count(`not yet: ${outcome.message}`);
          promoted = outcome;
          this.client.forbiddenFrom = world.now;
          const { manifest, targets, queued } = outcome;
          if (manifest.lost.length + targets + queued > 0)
            world.fail('something was under way when the primary yielded');
          const path = this.truth.path(outcome.last);
          if (path === undefined) return world.fail('the dr is at a place that never was');
          heir = new Heir(world, this.dr, this.truth.image(path, this.dr.area('image').bytes), {
            operations: random.pick([10, 40]),
            crashes: random.pick([0, 1]),
            readsImage: false,
          });
        }).start();
      } else if (engine?.takenOver !== undefined) {
        // It had taken over when it died, and nobody was told.
        new Promotion(engine, { force: false, retryMs: 15 }, (outcome) => {
          if (outcome instanceof GodwitError) return world.fail(`it had taken over, and says ${outcome.message}`);
          promoted = outcome;
          this.client.forbiddenFrom = world.now;
        }).start();
      }
      world.after(random.between(20, 120), ask);
    };
    ask();
    const until = world.now + random.pick([200, 1500]);
    await world.run(until, () => promoted !== undefined);
    await this.#heal();
    await world.run(world.now + 8000, () => promoted !== undefined);
    if (world.failure !== undefined) return;
    if (promoted === undefined) return world.fail('there is no planned promotion although nothing is wrong any more');
    world.count('promoted as planned');
    this.#checkPromoted(promoted, false);
    if (heir === undefined || world.failure !== undefined) return;
    const mine = heir as Heir;
    await world.run(world.now + 4000, () => mine.isDone);
    if (world.failure !== undefined) return;
    if (!mine.isDone) return world.fail('the promoted DR is not brought up although nothing is wrong any more');
    if (!this.dr.area('image').content.equals(mine.content)) world.fail('the image of the dr is not the volume');
    return this.#seesAgain();
  }

  /** An auxiliary or a DR loses its disks, and another machine takes its place: early or late, and perhaps the primary is lost, too. */
  async #replaced(): Promise<void> {
    const { world } = this;
    const { random } = world;
    const machine = random.pick([this.auxiliary, this.dr]) as unknown as Machine<Engine>;
    if (machine.role === 'auxiliary' && random.chance(0.3)) return this.#replacedUnderDr();
    const rounds = random.pick([1, 1, 2]);
    for (let i = 0; i < rounds; i += 1) {
      this.#replace(machine);
      await world.run(world.now + random.between(0, 300));
    }
    world.count(`the ${machine.role} was replaced`);
    const isComplete = () => machine.engine !== undefined && !(machine.engine as Auxiliary | Dr).isIncomplete;
    if (random.chance(0.3)) {
      // Too early, perhaps.
      this.#lose(this.primary);
      return this.#inherits(false);
    }
    await this.#ends();
    if (world.failure !== undefined) return;
    if (!isComplete()) await world.run(world.now + 3000, isComplete);
    if (world.failure !== undefined) return;
    if (!isComplete()) return world.fail(`the new ${machine.role} is not complete although nothing is wrong any more`);
    world.count('complete again');
    this.#lose(this.primary);
    return this.#inherits(false);
  }

  /** The DR leads by the vote of the auxiliary; its successor knows nothing of it, and the old primary comes back to it alone. */
  async #replacedUnderDr(): Promise<void> {
    const { world } = this;
    this.#cutOff();
    await this.#inherits(false);
    if (this.client.forbiddenFrom === undefined || world.failure !== undefined) return;
    this.#replace(this.auxiliary as unknown as Machine<Engine>);
    world.cut.delete('primary>auxiliary');
    world.cut.delete('auxiliary>primary');
    world.count('replaced under a DR that leads');
    // Whatever it asks of the new one: it must not lead.
    await world.run(world.now + 1500);
    return this.#seesAgain();
  }

  #replace(machine: Machine<Engine>): void {
    machine.crash(true);
    machine.replaceDisks();
    machine.generation += 1;
    if (!this.#forgetful) this.newcomers.set(machine.role, this.world.random.below(2 ** 30));
    this.world.note(() => `${machine.role} is replaced`);
    machine.start();
  }

  /** The DR takes over, is written to, and gives the volume back: to the old primary, or to a new machine. */
  async #givesBack(rounds: number): Promise<void> {
    const { world } = this;
    const { random } = world;
    const way = random.pick(['killed', 'cut off', 'gone'] as const);
    if (way === 'cut off') this.#cutOff();
    else {
      this.primary.crash(random.chance(0.5));
      this.primary.lost = true;
    }
    const tenant = await this.#promotes(false, (image) => {
      // Nothing is executed for a while: what comes next finds it pending.
      this.dr.area('image').fullUntil = world.now + random.pick([0, 0, 300, 900]);
      const operations = random.pick([0, 5, 60, 200]);
      this.#tenant = new Tenant(world, this.dr, this.truth, { image, operations, unguarded: this.#unguarded });
      return this.#tenant;
    });
    if (tenant === undefined) return;
    // Once it has found out, and what it had under way has ended.
    if (way === 'cut off') await world.run(world.now + 300);
    this.#calm = false;
    this.#faults();
    await world.run(world.now + random.between(0, 200));
    this.#partitioned = false;
    for (const way of [...world.cut]) if (way.includes('primary')) world.cut.delete(way);
    this.primary.lost = false;
    if (way === 'gone') {
      this.primary.replaceDisks();
      this.replaces = random.below(2 ** 30);
    }
    this.primary.start();
    world.count(`given back to a primary that was ${way}`);
    await world.run(world.now + random.between(0, 100));
    const thenLost = random.chance(0.15);
    this.#asksForIt(tenant, () => thenLost && this.#losesItAgain());
    const leads = () => this.#handedAt !== undefined && this.primary.engine?.leadership.leads === true;
    const isOver = () => leads() || this.primary.lost;
    await world.run(world.now + random.between(100, 1500), isOver);
    await this.#heal();
    await world.run(world.now + 8000, isOver);
    if (world.failure !== undefined) return;
    if (this.primary.lost) return this.#takesOverAgain(tenant);
    if (!leads()) return world.fail('the volume is not given back although nothing is wrong any more');
    world.count('given back');
    tenant.stop();
    this.replaces = undefined;
    if (rounds > 1) {
      await world.run(world.now + random.between(0, 200));
      return this.#givesBack(rounds - 1);
    }
    return this.#ends();
  }

  /** The primary that has just got the volume is gone, before it has led. */
  #losesItAgain(): void {
    if (this.#handedAt !== undefined) return;
    if (this.#tenant !== undefined) this.#tenant.isOver = true;
    for (const op of this.truth.ops) op.durable = false;
    this.#lose(this.primary);
  }

  async #takesOverAgain(tenant: Tenant): Promise<void> {
    this.world.count('lost again before it led');
    tenant.stop();
    await this.#inherits(false, (image) => tenant.checkImage(image, 'the volume that was taken over again'));
  }

  #tenant: Tenant | undefined;
  /** Where the primary goes on. */
  #handedAt: number | undefined;

  /** An operator asks until the primary leads. */
  #asksForIt(tenant: Tenant, given: () => void): void {
    const { world } = this;
    let running = -1;
    const ask = () => {
      const { engine } = this.dr;
      if (this.#handedAt !== undefined || tenant.hasLeft) return;
      const served = engine && tenant.servedBy(engine);
      if (engine !== undefined && running !== this.dr.incarnation && served !== undefined) {
        running = this.dr.incarnation;
        const { gate, bringUp } = served;
        if (!bringUp.isDone) world.count('asked to give back while it brings up');
        const isReady = () => this.#hasty || bringUp.isDone;
        const options = { retryMs: 15, silentMs: 70, stallMs: 150, patienceMs: 600, isReady };
        new Failback(engine, gate, options, (outcome) => {
          running = -1;
          if (outcome instanceof GodwitError) return;
          this.#gaveBack(outcome);
          given();
        }).start();
      }
      world.after(40, ask);
    };
    ask();
  }

  #gaveBack({ bytes, unexpected }: GivenBack): void {
    this.world.note(() => `given back with ${bytes} bytes`);
    this.world.count('bytes given back', bytes);
    if (unexpected > 0) this.world.fail(`${unexpected} chunks were different, and nothing said so`);
    const { handed } = this.dr.engine?.state.value ?? {};
    if (handed === undefined) this.world.fail('the volume was given back, and the DR does not know where it goes on');
    else if (!this.truth.begins(handed.origin, this.dr.area('image').content)) {
      this.world.fail('one history begins with two volumes');
    }
  }

  /** The primary leads again: from here on nothing is answered at the DR, and both images are the volume. */
  #leadsAgain(): void {
    const { world, truth } = this;
    const base = this.primary.engine?.history.base;
    if (base === undefined || this.#tenant === undefined) return;
    this.#handedAt = world.now;
    this.#tenant.isOver = true;
    const image = this.primary.area('image').content;
    this.#tenant.checkImage(image, 'the volume that was given back');
    if (!image.equals(this.dr.area('image').content)) world.fail('the volume at the primary is not that of the DR');
    if (!truth.begins(base, image)) world.fail('one history begins with two volumes');
    for (const op of truth.ops) op.durable = false;
    this.client.beginAgain(AFTERWARDS);
  }

  /**
   * The DR takes over; an operator asks again until it does. From that very moment on somebody uses the volume:
   * whom `begin` makes of its content.
   */
  async #promotes<T>(force: boolean, begin: (volume: Buffer) => T): Promise<T | undefined> {
    const { world } = this;
    let promoted: Promoted | undefined;
    let user: T | undefined;
    let refused: GodwitError | undefined;
    let running = -1;
    const ask = () => {
      if (promoted !== undefined) return;
      const { engine } = this.dr;
      if (engine !== undefined && running !== this.dr.incarnation) {
        running = this.dr.incarnation;
        new Promotion(engine, { force, retryMs: 15 }, (outcome) => {
          running = -1;
          if (outcome instanceof GodwitError) refused = outcome;
          else {
            promoted = outcome;
            this.#handedAt = undefined;
            this.client.forbiddenFrom = world.now;
            world.note(() => `promoted at ${outcome.last.sequence}`);
            const path = this.truth.path(outcome.last);
            if (path === undefined) world.fail('the dr is at a place that never was');
            else if (!outcome.stale) user = begin(this.truth.image(path, this.dr.area('image').bytes));
          }
        }).start();
      }
      world.after(30, ask);
    };
    world.after(world.random.pick([0, 50, 300]), ask);
    await this.#heal();
    await world.run(world.now + 4000, () => promoted !== undefined);
    if (world.failure !== undefined) return undefined;
    if (refused?.code === 'GW7013' && this.#wentOn()) {
      // It was away so long that nobody holds what it missed: two failures, and it says so.
      world.count('refused as stale');
      return undefined;
    }
    if (this.story === 'replaced' && ['GW7032', 'GW7013'].includes(refused?.code ?? '')) {
      // Two failures: the other one was not there yet.
      world.count(`refused with ${refused?.code}`);
      return undefined;
    }
    if (promoted === undefined) {
      world.fail(`the DR does not take over: ${refused?.message ?? 'it says nothing'}`);
      return undefined;
    }
    world.count('promoted');
    if (promoted.stale) {
      world.count('promoted as stale, and said so');
      return undefined;
    }
    this.#checkPromoted(promoted, force);
    return world.failure === undefined ? user : undefined;
  }

  /** After a partition. */
  async #seesAgain(): Promise<void> {
    const { world } = this;
    if (this.client.forbiddenFrom === undefined || world.failure !== undefined) return;
    // Cut off, it must have fallen silent by itself.
    await world.run(world.now + 300);
    // The old primary comes back into sight and must see that it is one.
    this.#partitioned = false;
    world.cut.clear();
    await world.run(world.now + 1000);
    if (world.failure === undefined && this.primary.engine?.leadership.isDeposed !== true) {
      world.fail('the old primary has not seen that the DR leads');
    }
  }

  /** The DR takes over, and is brought up while somebody reads and writes there. */
  async #inherits(force: boolean, look: (volume: Buffer) => void = () => {}): Promise<void> {
    const { world } = this;
    const { random } = world;
    const heir = await this.#promotes(force, (volume) => {
      look(volume);
      return new Heir(world, this.dr, volume, {
        operations: random.pick([10, 40, 100]),
        crashes: random.pick([0, 0, 1, 2]),
        readsImage: this.#readsImage,
      });
    });
    if (heir === undefined) return;
    await world.run(world.now + 4000, () => heir.isDone);
    if (world.failure !== undefined) return;
    if (!heir.isDone) return world.fail('the promoted DR is not brought up although nothing is wrong any more');
    if (!this.dr.area('image').content.equals(heir.content)) world.fail('the image of the dr is not the volume');
    world.count('brought up');
  }

  #checkPromoted({ last, manifest, targets, queued }: Promoted, force: boolean): void {
    const { world, truth } = this;
    const kept = new Set(truth.path(last)?.nodes.map(({ op }) => op));
    const lost = new Map<number, boolean>();
    let { sequence } = last;
    for (const each of manifest.lost) {
      sequence += 1;
      if (each.sequence !== sequence) world.fail('the manifest has a gap');
    }
    // By position and time, against what the primary really gave a place.
    for (const each of manifest.lost) {
      const node = this.#lostNode(each.sequence, each.epoch);
      const same =
        node !== undefined &&
        node.record.offset === each.offset &&
        node.record.length === each.length &&
        node.record.time === each.time &&
        node.record.kind === each.kind;
      if (!same) world.fail(`the manifest names ${each.sequence}, which never was`);
      else if (node.op !== undefined) lost.set(node.op.id, true);
    }
    if (targets > 0) world.count('with target operations');
    if (queued > 0) world.count('with queued operations');
    if (manifest.lost.length > 0) world.count('with a manifest');
    for (const op of truth.ops) {
      if (op.kind === 'flush' || !op.durable || kept.has(op)) continue;
      const mayLose = force || this.policy === 'seed';
      if (!mayLose) world.fail(`operation ${op.id} was acknowledged and is lost`);
      else if (!lost.has(op.id) && !(force && !manifest.complete && this.#wentOn())) {
        world.fail(`operation ${op.id} was acknowledged, is lost, and the manifest does not say so`);
      } else world.count('acknowledged, lost and named');
    }
  }

  /** Whether the primary ever went on without the DR, which then cannot know. */
  #wentOn(): boolean {
    return (this.world.counts.get('mode 2') ?? 0) > 0;
  }

  #lostNode(sequence: number, epoch: number) {
    return this.truth.find(sequence, epoch);
  }

  #checkImage(role: Role, content: Buffer, end: { readonly sequence: number; readonly crc: number }): void {
    const path = this.truth.path(end);
    if (path === undefined) {
      this.world.fail(`the ${role} is at a place that never was`);
      return;
    }
    if (!content.equals(this.truth.image(path, content.length))) {
      this.world.fail(`the image of the ${role} is not the volume after ${end.sequence} operations`);
    }
    if (role === 'primary' || this.story === 'transient') {
      const kept = new Set(path.nodes.map(({ op }) => op));
      for (const op of this.truth.ops) {
        if (op.durable && op.kind !== 'flush' && !kept.has(op))
          this.world.fail(`operation ${op.id} is lost on the ${role}`);
      }
    }
  }
}

export async function runSchedule(options: ScheduleOptions): Promise<Outcome> {
  const schedule = new Schedule(options);
  const { world, story, policy } = schedule;
  try {
    await schedule.run();
  } catch (error) {
    world.fail((error as Error).stack ?? String(error));
  }
  return { seed: options.seed, story, policy, failure: world.failure, counts: world.counts, log: world.log };
}
