/**
 * Takes the writes to the chosen namespaces from the business's own users, on
 * open connections too, and gives them back. Everybody else writes on.
 *
 *     raise  1. memory: every user, its roles, what it keeps       (before any change)
 *            2. per user: the role that grants what it keeps, then `updateUser`
 *            3. wait for what was under way
 *     lower  4. per user: `updateUser` with the roles remembered
 *            5. our roles are dropped
 *            6. memory: nothing is held
 *
 * Both may be killed anywhere and be called again by another process: what is
 * to be done is in the memory, and each step can be repeated.
 */
import { createHash } from 'node:crypto';
import type { Document } from 'bson';
import { GodwitError, throwIfAborted } from '../../../kernel/errors.ts';
import type { CheckpointStore, Fence } from '../../../kernel/ports.ts';
import type { Cluster } from '../cluster.ts';
import { serverCodeOf } from '../errors.ts';
import type { Selection } from '../namespaces.ts';
import type { Privilege } from './privileges.ts';
import { waitForWorkUnderWay } from './work-under-way.ts';
import { type RoleRef, readWriters, userName, type Writer } from './writers.ts';

export interface FenceContext {
  readonly cluster: Cluster;
  readonly selection: Selection;
  readonly memory: Pick<CheckpointStore, 'get' | 'set'>;
  readonly runName: string;
  /** `write-block` only: hold the others as well. */
  readonly allowWholeCluster?: boolean;
}

interface HeldUser {
  readonly user: string;
  readonly db: string;
  readonly roles: readonly RoleRef[];
  /** Its roles behind the fence. */
  readonly behind: readonly RoleRef[];
  /** The role of ours among them, and what it grants. */
  readonly ours?: { readonly role: string; readonly privileges: readonly Privilege[] };
}

interface Remembered {
  readonly held: readonly HeldUser[];
}

const WRITE_CONCERN = { w: 'majority', wtimeout: 30_000 };
const ROLE_EXISTS = 51_002;
const ROLE_NOT_FOUND = 31;
const USER_NOT_FOUND = 11;
/** Users may be made while the fence goes up; it looks again until there is no writer left. */
const ROUNDS = 10;

export function openRolesFence(ctx: FenceContext): Fence {
  const { cluster, selection, memory } = ctx;
  const memoryKey = `fence.roles.${cluster.name}`;
  const remembered = (): readonly HeldUser[] => memory.get<Remembered>(memoryKey)?.held ?? [];

  return {
    kind: 'roles',

    async raise(signal) {
      await asFenceError(async () => {
        for (let round = 1; ; round += 1) {
          throwIfAborted(signal);
          const writers = (await readWriters(cluster, selection)).held;
          if (writers.length === 0) break;
          if (round > ROUNDS)
            throw new GodwitError(
              'GW7004',
              `Users that may write keep appearing on the ${cluster.name}: ${names(writers)}`,
            );
          const held = withNew(remembered(), writers, ctx.runName);
          memory.set(memoryKey, { held } satisfies Remembered);
          const writing = new Set(writers.map(userName));
          for (const user of held) {
            throwIfAborted(signal);
            if (writing.has(userName(user))) await hold(cluster, user);
          }
        }
        const held = remembered();
        if (held.length === 0) {
          throw new GodwitError(
            'GW7004',
            `The ${cluster.name} has no user of the business's own whose writes could be taken`,
          );
        }
        await waitForWorkUnderWay(cluster, held, signal);
      });
    },

    async lower(signal) {
      const held = remembered();
      if (held.length === 0) return;
      await asFenceError(async () => {
        for (const user of held) {
          throwIfAborted(signal);
          await setRoles(cluster, user, user.roles);
        }
        for (const { ours } of held) {
          throwIfAborted(signal);
          if (ours)
            await cluster
              .command('admin', { dropRole: ours.role, writeConcern: WRITE_CONCERN })
              .catch(unless(ROLE_NOT_FOUND));
        }
      });
      memory.set(memoryKey, { held: [] } satisfies Remembered);
    },
  };
}

/** A user that is remembered keeps the roles it had first: those it has now may be ours. */
function withNew(held: readonly HeldUser[], writers: readonly Writer[], runName: string): HeldUser[] {
  const known = new Set(held.map(userName));
  const out = [...held];
  for (const writer of writers) {
    if (known.has(userName(writer))) continue;
    const { user, db, roles, keptRoles, keptPrivileges } = writer;
    const ours =
      keptPrivileges.length > 0 ? { role: roleNameOf(runName, writer), privileges: keptPrivileges } : undefined;
    const behind = ours ? [...keptRoles, { role: ours.role, db: 'admin' }] : keptRoles;
    out.push({ user, db, roles, behind, ...(ours ? { ours } : {}) });
  }
  return out;
}

/** The same for the same user, so that a repeated attempt finds its role. */
function roleNameOf(runName: string, user: { user: string; db: string }): string {
  const digest = createHash('sha256').update(userName(user)).digest('hex').slice(0, 8);
  return `godwit-fence-${runName}-${digest}`;
}

async function hold(cluster: Cluster, user: HeldUser): Promise<void> {
  if (user.ours) {
    const { role, privileges } = user.ours;
    const body: Document = { privileges, roles: [], writeConcern: WRITE_CONCERN };
    try {
      await cluster.command('admin', { createRole: role, ...body });
    } catch (error) {
      if (serverCodeOf(error) !== ROLE_EXISTS) throw error;
      await cluster.command('admin', { updateRole: role, ...body });
    }
  }
  await setRoles(cluster, user, user.behind);
}

/** A user that was dropped meanwhile needs no fence. */
async function setRoles(cluster: Cluster, user: HeldUser, roles: readonly RoleRef[]): Promise<void> {
  await cluster
    .command(user.db, { updateUser: user.user, roles, writeConcern: WRITE_CONCERN })
    .catch(unless(USER_NOT_FOUND));
}

function unless(serverCode: number): (error: unknown) => void {
  return (error) => {
    if (serverCodeOf(error) !== serverCode) throw error;
  };
}

/** Missing privileges make this fence impossible, not the run. */
async function asFenceError(work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!(error instanceof GodwitError) || error.code !== 'GW2004') throw error;
    throw new GodwitError('GW7004', `The user of Godwit may not change the business's users: ${error.message}`, {
      cause: error,
    });
  }
}

function names(writers: readonly Writer[]): string {
  return writers.map(userName).join(', ');
}
