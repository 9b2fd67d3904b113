/**
 * Users and roles that are defined in the chosen databases, with their
 * credentials, so that an application logs in on the target with its old
 * password. SCRAM credentials hold the user's name but not its database, so
 * they stay good when a database is renamed.
 *
 * Not carried, and told to the caller: users of `admin` and `$external` (they
 * belong to the cluster), and roles on databases that do not move, which would
 * let the user into somebody else's data on the target.
 *
 * To be called while no fence is up: a fenced user has its fenced roles.
 */
import type { Document } from 'bson';
import { throwIfAborted } from '../../../kernel/errors.ts';
import type { Cluster } from '../cluster.ts';
import { fromDriver, serverCodeOf } from '../errors.ts';
import { ownUsers } from '../fence/authorization.ts';
import type { Selection } from '../namespaces.ts';

export interface CopiedUsers {
  /** `user@db` and `role@db` as they are called on the target. */
  readonly users: readonly string[];
  readonly roles: readonly string[];
  /** Roles that a copied user has at the source and not on the target, in words. */
  readonly leftOut: readonly string[];
  /** Users defined elsewhere that have roles on the chosen databases. */
  readonly leftBehind: readonly string[];
}

interface Ref {
  readonly role: string;
  readonly db: string;
}

/** The names that the `restore` role may use, and that the restore tools use. */
const TEMPORARY_USERS = 'tempusers';
const TEMPORARY_ROLES = 'temproles';
const WRITE_CONCERN = { w: 'majority', wtimeout: 30_000 } as const;
const NOT_FOUND = new Set([11, 26, 31]);

/**
 * Copies them. May be repeated: what is the same already is left, what differs
 * is replaced.
 * @param renameDb name of a chosen database on the target
 */
export async function copyUsersAndRoles(
  source: Cluster,
  target: Cluster,
  selection: Selection,
  renameDb: (db: string) => string,
  signal: AbortSignal,
): Promise<CopiedUsers> {
  const { users: found } = await source.command('admin', { usersInfo: { forAllDBs: true } });
  const all = found as { user: string; db: string; roles: Ref[] }[];
  const chosen = all.filter((user) => selection.touchesDatabase(user.db));
  const leftBehind = all
    .filter((user) => !selection.touchesDatabase(user.db) && user.roles.some(({ db }) => selection.touchesDatabase(db)))
    .map((user) => `${user.user}@${user.db}`);
  const leftOut: string[] = [];
  const carry = (ref: Ref, who: string): Ref[] => {
    if (selection.touchesDatabase(ref.db)) return [{ role: ref.role, db: renameDb(ref.db) }];
    leftOut.push(`${ref.role}@${ref.db} of ${who}`);
    return [];
  };

  const roles = (await readRoles(source, selection)).map((role) => ({
    _id: `${renameDb(role['db'])}.${role['role']}`,
    role: role['role'],
    db: renameDb(role['db']),
    privileges: (role['privileges'] as Document[]).map((privilege) => renamed(privilege, selection, renameDb)),
    roles: (role['roles'] as Ref[]).flatMap((ref) => carry(ref, `role ${role['role']}@${role['db']}`)),
    ...restrictionsOf(role),
  }));
  throwIfAborted(signal);
  const users = (await readUsers(source, chosen)).map((user) => ({
    _id: `${renameDb(user['db'])}.${user['user']}`,
    ...(user['userId'] ? { userId: user['userId'] } : {}),
    user: user['user'],
    db: renameDb(user['db']),
    credentials: user['credentials'],
    ...(user['customData'] ? { customData: user['customData'] } : {}),
    roles: (user['roles'] as Ref[]).flatMap((ref) => carry(ref, `${user['user']}@${user['db']}`)),
    ...restrictionsOf(user),
  }));
  throwIfAborted(signal);
  await merge(target, users, roles);
  return {
    users: users.map(({ user, db }) => `${user}@${db}`),
    roles: roles.map(({ role, db }) => `${role}@${db}`),
    leftOut,
    leftBehind,
  };
}

function restrictionsOf(doc: Document): Document {
  const restrictions = doc['authenticationRestrictions'] as Document[] | undefined;
  return restrictions && restrictions.length > 0 ? { authenticationRestrictions: restrictions } : {};
}

/** A privilege of a role outside `admin` is for its own database. */
function renamed(privilege: Document, selection: Selection, renameDb: (db: string) => string): Document {
  const { db, collection } = privilege['resource'] as { db?: string; collection?: string };
  if (!db) return privilege;
  const resource =
    collection && selection.includes(db, collection)
      ? selection.target(db, collection)
      : { ...privilege['resource'], db: renameDb(db) };
  return { ...privilege, resource };
}

async function readUsers(cluster: Cluster, which: readonly { user: string; db: string }[]): Promise<Document[]> {
  if (which.length === 0) return [];
  const usersInfo = which.map(({ user, db }) => ({ user, db }));
  const reply = await cluster.command('admin', {
    usersInfo,
    showCredentials: true,
    showAuthenticationRestrictions: true,
  });
  return reply['users'] as Document[];
}

async function readRoles(cluster: Cluster, selection: Selection): Promise<Document[]> {
  const { databases } = await cluster.command('admin', {
    listDatabases: 1,
    nameOnly: true,
    authorizedDatabases: false,
  });
  const out: Document[] = [];
  for (const { name } of databases as { name: string }[]) {
    if (!selection.touchesDatabase(name)) continue;
    const reply = await cluster.command(name, {
      rolesInfo: 1,
      showPrivileges: true,
      showAuthenticationRestrictions: true,
    });
    out.push(...(reply['roles'] as Document[]));
  }
  return out;
}

/**
 * Users with ready-made credentials cannot be created by `createUser`; the
 * server takes them from ordinary collections, all of them or none.
 */
async function merge(target: Cluster, users: readonly Document[], roles: readonly Document[]): Promise<void> {
  const own = new Set((await ownUsers(target)).map(({ user, db }) => `${db}.${user}`));
  const others = users.filter((user) => !own.has(user['_id']));
  if (others.length === 0 && roles.length === 0) return;
  try {
    await fill(target, TEMPORARY_USERS, others);
    await fill(target, TEMPORARY_ROLES, roles);
    // The merge only adds; what has the same name goes first.
    for (const { user, db } of others) await drop(target, db, { dropUser: user });
    for (const { role, db } of roles) await drop(target, db, { dropRole: role });
    await target.command('admin', {
      _mergeAuthzCollections: 1,
      ...(others.length > 0 ? { tempUsersCollection: `admin.${TEMPORARY_USERS}` } : {}),
      ...(roles.length > 0 ? { tempRolesCollection: `admin.${TEMPORARY_ROLES}` } : {}),
      drop: false,
      // Of all databases: which ones is decided by what the collections hold.
      db: '',
      writeConcern: WRITE_CONCERN,
    });
  } finally {
    await drop(target, 'admin', { drop: TEMPORARY_USERS });
    await drop(target, 'admin', { drop: TEMPORARY_ROLES });
  }
}

async function fill(target: Cluster, name: string, docs: readonly Document[]): Promise<void> {
  await drop(target, 'admin', { drop: name });
  if (docs.length === 0) return;
  try {
    await target
      .db('admin')
      .collection(name)
      .insertMany([...docs], { writeConcern: WRITE_CONCERN });
  } catch (error) {
    throw fromDriver(error, `writing users to the ${target.name}`);
  }
}

async function drop(target: Cluster, db: string, command: Document): Promise<void> {
  try {
    await target.command(db, { ...command, writeConcern: WRITE_CONCERN });
  } catch (error) {
    if (!NOT_FOUND.has(serverCodeOf(error) ?? 0)) throw error;
  }
}
