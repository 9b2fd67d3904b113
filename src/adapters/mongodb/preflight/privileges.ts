import type { Document } from 'bson';
import type { Finding } from '../../../kernel/finding.ts';
import type { Cluster } from '../cluster.ts';
import { readAuthorization } from '../fence/authorization.ts';
import type { Privilege } from '../fence/privileges.ts';
import { type Check, chosenDatabases, type PreflightContext, targetDatabases } from './context.ts';

/** What is needed where; `cluster` for the cluster itself, else `db` or `db.collection`. */
type Needs = Map<string, readonly string[]>;

const READ = ['find', 'listCollections', 'listIndexes', 'collStats'];
const WRITE = [
  ...READ,
  'insert',
  'update',
  'remove',
  'createCollection',
  'dropCollection',
  'createIndex',
  'dropIndex',
  'collMod',
  'renameCollectionSameDB',
  'bypassDocumentValidation',
];
const USERS = ['viewUser', 'viewRole'];

/** The user of Godwit may do on both sides what the run will do there. */
export const checkPrivileges: Check = async (ctx) => [
  ...(await missing(ctx.source, sourceNeeds(ctx), sourceNames(ctx), 'error', 'The run cannot be done without them')),
  ...(await missing(ctx.target, targetNeeds(ctx), targetNames(ctx), 'error', 'The run cannot be done without them')),
  ...(await missing(
    ctx.source,
    sourceWishes(ctx),
    sourceNames(ctx),
    'warning',
    'Without them the source cannot be fenced by roles, watched closely, cleaned up, or written to by a rollback',
  )),
];

function sourceNeeds(ctx: PreflightContext): Needs {
  const needs: Needs = new Map([
    ['cluster', ['appendOplogNote', 'listDatabases']],
    ['local.oplog.rs', ['find']],
  ]);
  for (const db of chosenDatabases(ctx)) needs.set(db, ctx.options.withUsers ? [...READ, ...USERS] : READ);
  if (ctx.options.freezes)
    needs.set('cluster', [
      ...(needs.get('cluster') ?? []),
      'fsync',
      'unlock',
      'inprog',
      'replSetGetConfig',
      'replSetGetStatus',
    ]);
  if (ctx.options.fence === 'write-block')
    needs.set('cluster', [...(needs.get('cluster') ?? []), 'setUserWriteBlockMode', 'bypassWriteBlockingMode']);
  if (ctx.options.fence === 'roles') addRoleActions(needs, ctx);
  return needs;
}

function sourceWishes(ctx: PreflightContext): Needs {
  const wishes: Needs = new Map([
    ['cluster', ['inprog', 'serverStatus', 'top', 'replSetGetStatus', 'replSetGetConfig', 'getParameter']],
  ]);
  for (const db of chosenDatabases(ctx))
    wishes.set(db, [
      'insert',
      'update',
      'remove',
      'createCollection',
      'dropCollection',
      'createIndex',
      'dropIndex',
      'collMod',
    ]);
  if (ctx.options.fence === undefined) addRoleActions(wishes, ctx);
  return wishes;
}

/** What taking and giving back roles asks for. */
function addRoleActions(needs: Needs, ctx: PreflightContext): void {
  const actions = [...USERS, 'grantRole', 'revokeRole'];
  needs.set('admin', [...actions, 'createRole', 'dropRole']);
  for (const db of chosenDatabases(ctx)) needs.set(db, [...new Set([...(needs.get(db) ?? []), ...actions])]);
}

function targetNeeds(ctx: PreflightContext): Needs {
  const needs: Needs = new Map([['cluster', ['appendOplogNote', 'listDatabases']]]);
  for (const db of targetDatabases(ctx)) {
    needs.set(
      db,
      ctx.options.withUsers ? [...WRITE, 'createUser', 'dropUser', 'createRole', 'dropRole', 'grantRole'] : WRITE,
    );
  }
  return needs;
}

type Name = { readonly db: string; readonly collection: string };

const sourceNames = ({ catalog }: PreflightContext): Name[] =>
  catalog.collections.map(({ db, name }) => ({ db, collection: name }));
const targetNames = ({ catalog, selection }: PreflightContext): Name[] =>
  catalog.collections.map(({ db, name }) => selection.target(db, name));

/** Actions that are asked for on a collection, so that a grant by its name is enough. */
const OF_COLLECTIONS = new Set(
  [...WRITE].filter((action) => action !== 'listCollections' && action !== 'renameCollectionSameDB'),
);

async function missing(
  cluster: Cluster,
  needs: Needs,
  names: readonly Name[],
  severity: 'error' | 'warning',
  why: string,
): Promise<Finding[]> {
  if (!(await readAuthorization(cluster)).on) return [];
  const status = await cluster.command('admin', { connectionStatus: 1, showPrivileges: true });
  const info = status['authInfo'] as Document;
  const privileges = (info['authenticatedUserPrivileges'] ?? []) as Privilege[];
  const lacks: string[] = [];
  for (const [where, actions] of needs) {
    const granted = (place: string, action: string) => privileges.some((privilege) => grants(privilege, place, action));
    const inside = names.filter(({ db }) => db === where).map(({ db, collection }) => `${db}.${collection}`);
    const absent = actions.filter(
      (action) =>
        !granted(where, action) &&
        !(OF_COLLECTIONS.has(action) && inside.length > 0 && inside.every((place) => granted(place, action))),
    );
    // A grant for a database leaves out the buckets of its time series.
    for (const place of inside.filter((name) => name.includes('.system.buckets.'))) {
      const touched = actions.filter(
        (action) => ['find', 'insert', 'update', 'remove'].includes(action) && !granted(place, action),
      );
      if (touched.length > 0) lacks.push(`on ${place}: ${touched.join(', ')}`);
    }
    if (absent.length > 0)
      lacks.push(`${where === 'cluster' ? 'on the cluster' : `on ${where}`}: ${absent.join(', ')}`);
  }
  if (lacks.length === 0) return [];
  const users = (info['authenticatedUsers'] as { user: string; db: string }[])
    .map(({ user, db }) => `${user}@${db}`)
    .join(', ');
  return [
    {
      severity,
      check: `privileges.${cluster.name}${severity === 'warning' ? '.wished' : ''}`,
      message: `${users || 'Nobody is logged in, and the connection'} lacks privileges at the ${cluster.name}; ${lacks.join('; ')}. ${why}`,
      remedy: 'Grant a role with these actions on these resources, or use a user that has them',
    },
  ];
}

/** Whether a privilege allows an action; grants for all databases leave out `local` and `config`. */
function grants({ resource, actions }: Privilege, where: string, action: string): boolean {
  if (!actions.includes(action) && !actions.includes('anyAction')) return false;
  if (resource['anyResource'] === true) return true;
  if (where === 'cluster') return resource['cluster'] === true;
  // Seeing every user is a privilege on the cluster in some roles.
  if (resource['cluster'] === true) return USERS.includes(action);
  const dot = where.indexOf('.');
  const db = dot < 0 ? where : where.slice(0, dot);
  const collection = dot < 0 ? '' : where.slice(dot + 1);
  const buckets = resource['system_buckets'] as string | undefined;
  if (buckets !== undefined) {
    return (
      (!resource['db'] || resource['db'] === db) &&
      (buckets === '' ? collection.startsWith('system.buckets.') : collection === `system.buckets.${buckets}`)
    );
  }
  if (collection.startsWith('system.'))
    return resource['collection'] === collection && (resource['db'] === '' || resource['db'] === db);
  if (resource['db'] === '') return resource['collection'] === '' && db !== 'local' && db !== 'config';
  return resource['db'] === db && (resource['collection'] === '' || resource['collection'] === collection);
}
