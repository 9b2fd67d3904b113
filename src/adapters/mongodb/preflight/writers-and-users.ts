import type { Finding } from '../../../kernel/finding.ts';
import { availableFences, readWriters } from '../fence/index.ts';
import { ask, type Check, type PreflightContext, some } from './context.ts';

/** Which fence the cutover will use, why, and who is not held by it. */
export const checkFence: Check = async (ctx) => {
  const { source, selection, options } = ctx;
  if (options.fence === 'entry' || options.fence === 'none') {
    const message =
      options.fence === 'entry'
        ? 'The entry holds the writers at the cutover'
        : 'You stop the writers yourself at the cutover (--fence none); a write that comes all the same stops it';
    return [{ severity: 'info', check: 'fence', message }];
  }
  const choices = await availableFences({ cluster: source, selection });
  const wanted = options.fence ?? 'roles';
  const choice = choices.find(({ kind }) => kind === wanted);
  if (!choice) return [];
  const meant = wanted === 'write-block' && options.fenceWholeCluster === true;
  if (choice.ok || meant) {
    const chosen: Finding = {
      severity: 'info',
      check: 'fence',
      message: `The cutover fences by ${wanted}: ${choice.reason}`,
    };
    return wanted === 'roles' ? [chosen, ...(await freeWriters(ctx))] : [chosen];
  }
  const block = choices.find(({ kind }) => kind === 'write-block');
  return [
    {
      severity: options.fence ? 'error' : 'warning',
      check: 'fence',
      message: options.fence
        ? `--fence ${wanted} does not work here: ${choice.reason}`
        : `No fence works here by itself: ${choice.reason}`,
      remedy: block?.ok
        ? `--fence write-block works here (${block.reason}); or stop the writers yourself and use --fence none`
        : 'Stop the writers yourself at the cutover and use --fence none',
    },
  ];
};

async function freeWriters({ source, selection }: PreflightContext): Promise<Finding[]> {
  const free = (await readWriters(source, selection)).free.filter(({ why }) => why === 'any-database');
  if (free.length === 0) return [];
  return [
    {
      severity: 'warning',
      check: 'fence.not-held',
      message: `These users may write to any database and are not fenced: ${some(free.map(({ user, db }) => `${user}@${db}`))}`,
      remedy:
        'Make sure that they do not write to the chosen namespaces; a write of theirs after the fence stops the cutover',
    },
  ];
}

/** Users that belong to the data and come along only if that is said. */
export const checkUsers: Check = async ({ source, selection, options }) => {
  const reply = await ask(source, 'admin', { usersInfo: { forAllDBs: true } });
  const users = (reply?.['users'] as { user: string; db: string; roles: { db: string }[] }[] | undefined) ?? [];
  const name = ({ user, db }: { user: string; db: string }) => `${user}@${db}`;
  const inside = users.filter(({ db }) => selection.touchesDatabase(db)).map(name);
  const outside = users
    .filter(
      ({ db, roles }) => !selection.touchesDatabase(db) && roles.some((role) => selection.touchesDatabase(role.db)),
    )
    .map(name);
  const findings: Finding[] = [];
  if (inside.length > 0) {
    findings.push(
      options.withUsers
        ? {
            severity: 'info',
            check: 'users',
            message: `Users of the chosen databases are carried, with their passwords: ${some(inside)}`,
          }
        : {
            severity: 'warning',
            check: 'users',
            message: `Users are defined in the chosen databases and are not carried: ${some(inside)}`,
            remedy: 'Use --with-users, or make sure that the target has them',
          },
    );
  }
  if (outside.length > 0) {
    findings.push({
      severity: 'warning',
      check: 'users.elsewhere',
      message: `Users of admin or $external have roles on the chosen databases and are never carried: ${some(outside)}`,
      remedy: 'Create them on the target before the cutover if an application uses them',
    });
  }
  return findings;
};
