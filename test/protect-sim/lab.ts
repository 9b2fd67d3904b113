/** Three machines with the engine on them, and a network between: for schedules by seed and for tests of one case. */
import type { Role } from '../../src/kernel/protect/ports.ts';
import { tableBytes } from '../../src/routes/protect/engine/area-layout.ts';
import { Auxiliary } from '../../src/routes/protect/engine/auxiliary.ts';
import { Dirty } from '../../src/routes/protect/engine/dirty.ts';
import { Dr } from '../../src/routes/protect/engine/dr.ts';
import type { Op } from '../../src/routes/protect/engine/local-store.ts';
import { type Experiment, Primary } from '../../src/routes/protect/engine/primary.ts';
import type { Policy } from '../../src/routes/protect/engine/rules.ts';
import { SUPERBLOCK_BYTES } from '../../src/routes/protect/engine/superblock.ts';
import { SECTOR } from './disk.ts';
import { SimMounts } from './mounts.ts';
import { type Engine, Machine, type World } from './world.ts';

export const LEASE = 120;
const VOLUME = 7;
const CHUNK = 2 * SECTOR;

export interface LabOptions {
  readonly policy: Policy;
  readonly imageBytes: number;
  readonly ringBytes: number;
  readonly slots: number;
  readonly windowBytes: number;
  readonly patienceMs: number | undefined;
  readonly memoryBytes?: number;
  /** The unit of what is sent again; two sectors unless told. */
  readonly chunkBytes?: number;
  readonly experiment?: Experiment;
  readonly sequenced?: (op: Op) => void;
  /** The primary writes into the auxiliary's area by itself. */
  readonly mounted?: boolean;
  /** A control: who has the area mounted keeps it. */
  readonly neverRevokes?: boolean;
  /** The DR keeps an undo log of that size. */
  readonly undoBytes?: number;
}

export class Lab {
  readonly world: World;
  readonly primary: Machine<Primary>;
  readonly auxiliary: Machine<Auxiliary>;
  readonly dr: Machine<Dr>;
  readonly mounts: SimMounts;
  /** How the next primary shares. */
  isMounted: boolean;
  /** Set when the primary is a new machine in the place of one that is gone. */
  replaces: number | undefined;
  /** The same of the others. */
  readonly newcomers = new Map<Role, number>();

  constructor(world: World, options: LabOptions) {
    this.world = world;
    const { imageBytes, ringBytes, slots, chunkBytes = CHUNK } = options;
    const machines = new Map<Role, Machine<Engine>>();
    const mounts = new SimMounts(world);
    this.mounts = mounts;
    this.isMounted = options.mounted ?? false;
    const failed = (role: Role) => (error: Error) => world.fail(`${role} failed: ${error.stack}`);
    const settings = {
      policy: options.policy,
      leaseMs: LEASE,
      beatMs: 25,
      resendMs: 45,
      patienceMs: options.patienceMs,
      mostOperations: slots,
      windowBytes: options.windowBytes,
      // So little that much has to be read back.
      memoryBytes: options.memoryBytes ?? 4096,
      chunkBytes,
    };
    this.primary = new Machine<Primary>(
      world,
      'primary',
      machines,
      {
        ring: ringBytes,
        image: imageBytes,
        state: SUPERBLOCK_BYTES,
        dirty: Dirty.bytesFor(imageBytes, chunkBytes),
      },
      async (machine) => {
        const primary = await Primary.open({
          areas: {
            ring: machine.area('ring'),
            image: machine.area('image'),
            state: machine.area('state'),
            dirty: machine.area('dirty'),
          },
          link: machine.link(),
          ...(this.isMounted ? { mounts: mounts.client(machine) } : {}),
          ticker: machine.ticker,
          volume: VOLUME,
          size: imageBytes,
          settings,
          failed: failed('primary'),
          experiment: options.experiment,
          sequenced: options.sequenced,
          replaces: this.replaces,
        });
        primary.start();
        return primary;
      },
    );
    this.auxiliary = new Machine<Auxiliary>(
      world,
      'auxiliary',
      machines,
      { ring: ringBytes, state: SUPERBLOCK_BYTES, table: tableBytes(slots) },
      (machine) =>
        Auxiliary.open({
          areas: { ring: machine.area('ring'), state: machine.area('state'), table: machine.area('table') },
          slots,
          link: machine.link(),
          server: mounts.server(machine),
          neverRevokes: options.neverRevokes,
          ticker: machine.ticker,
          volume: VOLUME,
          leaseMs: LEASE,
          retryMs: 20,
          replaces: this.newcomers.get('auxiliary'),
          failed: failed('auxiliary'),
        }),
    );
    this.dr = new Machine<Dr>(
      world,
      'dr',
      machines,
      {
        orders: slots * 64,
        suspended: ringBytes,
        image: imageBytes,
        state: SUPERBLOCK_BYTES,
        dirty: Dirty.bytesFor(imageBytes, chunkBytes),
        ...(options.undoBytes === undefined ? {} : { undo: options.undoBytes, undoState: SUPERBLOCK_BYTES }),
      },
      (machine) =>
        Dr.open({
          areas: {
            orders: machine.area('orders'),
            suspended: machine.area('suspended'),
            image: machine.area('image'),
            state: machine.area('state'),
            dirty: machine.area('dirty'),
            ...(options.undoBytes === undefined
              ? {}
              : { undo: { log: machine.area('undo'), state: machine.area('undoState') } }),
          },
          link: machine.link(),
          ticker: machine.ticker,
          volume: VOLUME,
          leaseMs: LEASE,
          retryMs: 20,
          chunkBytes,
          replaces: this.newcomers.get('dr'),
          failed: failed('dr'),
        }),
    );
  }

  get machines(): readonly Machine<Engine>[] {
    return [this.primary, this.auxiliary, this.dr] as unknown as Machine<Engine>[];
  }

  start(): void {
    for (const machine of this.machines) machine.start();
  }
}
