import { GodwitError } from '../../../kernel/errors.ts';
import type { Fence } from '../../../kernel/ports.ts';
import type { Cluster } from '../cluster.ts';
import type { Selection } from '../namespaces.ts';
import { readAuthorization } from './authorization.ts';
import { readNeighbourWrites } from './neighbour-writes.ts';
import { type FenceContext, openRolesFence } from './roles-fence.ts';
import { NEIGHBOUR_SECONDS, openWriteBlockFence } from './write-block-fence.ts';
import { readWriters, userName, type Writers } from './writers.ts';

export type { FenceContext } from './roles-fence.ts';

export type MongoFenceKind = 'roles' | 'write-block' | 'none';

export interface FenceChoice {
  readonly kind: MongoFenceKind;
  readonly ok: boolean;
  /** For people: whom it holds, or why it cannot be raised. */
  readonly reason: string;
}

export function openFence(kind: MongoFenceKind, ctx: FenceContext): Fence {
  if (kind === 'roles') return openRolesFence(ctx);
  if (kind === 'write-block') return openWriteBlockFence(ctx);
  // The caller stops the writers; a write of theirs is still seen in the log.
  return { kind, raise: () => Promise.resolve(), lower: () => Promise.resolve() };
}

/** Which fences work here, the narrowest first; `none` is never chosen by itself. */
export async function availableFences(ctx: { cluster: Cluster; selection: Selection }): Promise<FenceChoice[]> {
  return [
    await rolesChoice(ctx.cluster, ctx.selection),
    await writeBlockChoice(ctx.cluster, ctx.selection),
    {
      kind: 'none',
      ok: true,
      reason: 'You stop the writers yourself; one that goes on is found in the log and stops the cutover',
    },
  ];
}

async function rolesChoice(cluster: Cluster, selection: Selection): Promise<FenceChoice> {
  const no = (reason: string): FenceChoice => ({ kind: 'roles', ok: false, reason });
  const { on, ldap } = await readAuthorization(cluster);
  if (!on) return no(`Access control is off on the ${cluster.name}: nobody has privileges that could be taken`);
  if (ldap) return no(`LDAP grants the privileges on the ${cluster.name}; Godwit cannot take them`);
  let writers: Writers;
  try {
    writers = await readWriters(cluster, selection);
  } catch (error) {
    if (error instanceof GodwitError && error.code === 'GW2004')
      return no('The user of Godwit may not see users and roles (userAdminAnyDatabase allows it)');
    throw error;
  }
  const free = describeFree(writers);
  if (writers.held.length === 0)
    return no(`No user writes to the chosen namespaces by a role of their databases${free && `; ${free}`}`);
  const held = writers.held.map(userName).join(', ');
  return { kind: 'roles', ok: true, reason: `Holds ${held}${free && `; does not hold ${free}`}` };
}

/** Those who could write past the fence, for `check`; empty when there are none. */
export function describeFree(writers: Writers): string {
  return writers.free
    .map(
      (user) => `${userName(user)} (${user.why === 'own' ? 'the user of Godwit itself' : 'may write to any database'})`,
    )
    .join(', ');
}

async function writeBlockChoice(cluster: Cluster, selection: Selection): Promise<FenceChoice> {
  const no = (reason: string): FenceChoice => ({ kind: 'write-block', ok: false, reason });
  const info = await cluster.command('admin', { buildInfo: 1 });
  if (Number((info['versionArray'] as number[])[0]) < 6) return no('It needs MongoDB 6.0');
  const { on } = await readAuthorization(cluster);
  if (on && !(await mayBlock(cluster)))
    return no('The user of Godwit lacks setUserWriteBlockMode and bypassWriteBlockingMode');
  const others = await readNeighbourWrites(cluster, selection, NEIGHBOUR_SECONDS);
  if (others.length > 0)
    return no(
      `It would stop others: ${others.slice(0, 3).join(', ')} ${others.length === 1 ? 'is' : 'are'} being written`,
    );
  const whom = on
    ? 'everybody without bypassWriteBlockingMode (root, restore)'
    : 'everybody: access control is off, Godwit itself included';
  return {
    kind: 'write-block',
    ok: true,
    reason: `Holds ${whom}; nothing else was written in the last ${NEIGHBOUR_SECONDS} s`,
  };
}

async function mayBlock(cluster: Cluster): Promise<boolean> {
  const status = await cluster.command('admin', { connectionStatus: 1, showPrivileges: true });
  const privileges = (status['authInfo']?.authenticatedUserPrivileges ?? []) as {
    resource: { cluster?: boolean };
    actions: string[];
  }[];
  const actions = new Set(
    privileges.filter(({ resource }) => resource.cluster).flatMap((privilege) => privilege.actions),
  );
  return actions.has('setUserWriteBlockMode') && actions.has('bypassWriteBlockingMode');
}
