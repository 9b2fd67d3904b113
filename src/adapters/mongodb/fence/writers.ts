/** Who may write to the chosen namespaces, and how that can be taken for a while. */
import type { Document } from 'bson';
import type { Cluster } from '../cluster.ts';
import type { Selection } from '../namespaces.ts';
import { ownUsers } from './authorization.ts';
import { furthest, type Privilege, type Reach, withoutWrites } from './privileges.ts';

export interface RoleRef {
  readonly role: string;
  readonly db: string;
}

/** A user that the fence holds, with what it has now and what it has behind the fence. */
export interface Writer {
  readonly user: string;
  readonly db: string;
  readonly roles: readonly RoleRef[];
  /** Roles that stay as they are, or have a reading twin. */
  readonly keptRoles: readonly RoleRef[];
  /** What is left of the other roles: granted by a role of the fence's own. */
  readonly keptPrivileges: readonly Privilege[];
}

/** A user that may write and that the fence leaves alone. */
export interface FreeWriter {
  readonly user: string;
  readonly db: string;
  readonly why: 'own' | 'any-database';
  readonly roles: readonly RoleRef[];
}

export interface Writers {
  readonly held: readonly Writer[];
  readonly free: readonly FreeWriter[];
}

/** `user@db`, as the server writes it. */
export function userName(user: { user: string; db: string }): string {
  return `${user.user}@${user.db}`;
}

const roleName = (role: RoleRef): string => `${role.db}.${role.role}`;

/** Reads who may write now. Needs `viewUser` and `viewRole` on every database. */
export async function readWriters(cluster: Cluster, selection: Selection): Promise<Writers> {
  const own = new Set((await ownUsers(cluster)).map(userName));
  const reply = await cluster.command('admin', { usersInfo: { forAllDBs: true } });
  const users = reply['users'] as { user: string; db: string; roles: RoleRef[] }[];
  const privileges = await readRoles(
    cluster,
    users.flatMap((user) => user.roles),
  );
  const reach = (role: RoleRef): Reach => furthest(privileges.get(roleName(role)) ?? [], selection);
  const others = await readOthers(cluster, selection, [...privileges.values()].flat());

  const held: Writer[] = [];
  const free: FreeWriter[] = [];
  for (const { user, db, roles } of users) {
    const reaches = new Set(roles.map(reach));
    if (!reaches.has('named') && !reaches.has('any')) continue;
    const isOwn = own.has(userName({ user, db }));
    if (isOwn || reaches.has('any')) {
      free.push({ user, db, why: isOwn ? 'own' : 'any-database', roles });
      continue;
    }
    const keptRoles: RoleRef[] = [];
    const keptPrivileges: Privilege[] = [];
    for (const role of roles) {
      if (reach(role) === 'none') keptRoles.push(role);
      else if (role.role === 'readWrite' && selection.wholeDatabase(role.db))
        keptRoles.push({ role: 'read', db: role.db });
      else keptPrivileges.push(...withoutWrites(privileges.get(roleName(role)) ?? [], selection, others));
    }
    held.push({ user, db, roles, keptRoles: distinct(keptRoles), keptPrivileges });
  }
  return { held, free };
}

function distinct(roles: readonly RoleRef[]): RoleRef[] {
  return [...new Map(roles.map((role) => [roleName(role), role])).values()];
}

/** What each role grants in the end, its own and what it inherits. */
async function readRoles(cluster: Cluster, roles: readonly RoleRef[]): Promise<Map<string, Privilege[]>> {
  const rolesInfo = distinct(roles).map(({ role, db }) => ({ role, db }));
  if (rolesInfo.length === 0) return new Map();
  const reply = await cluster.command('admin', { rolesInfo, showPrivileges: true });
  return new Map(
    (reply['roles'] as (RoleRef & Document)[]).map((role) => [
      roleName(role),
      (role['inheritedPrivileges'] ?? role['privileges'] ?? []) as Privilege[],
    ]),
  );
}

/** The collections that stay, of databases that move in part. */
async function readOthers(
  cluster: Cluster,
  selection: Selection,
  privileges: readonly Privilege[],
): Promise<(db: string) => readonly string[]> {
  const others = new Map<string, string[]>();
  for (const { resource } of privileges) {
    const db = resource['db'] as string | undefined;
    if (!db || others.has(db) || !selection.touchesDatabase(db) || selection.wholeDatabase(db)) continue;
    const listed = await cluster.db(db).listCollections({}, { nameOnly: true, authorizedCollections: false }).toArray();
    const names = listed
      .map(({ name }) => name)
      .filter((name) => !name.startsWith('system.') && !selection.includes(db, name));
    others.set(db, names);
  }
  return (db) => others.get(db) ?? [];
}
