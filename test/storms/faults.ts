/** What happens to the processes of a storm. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { PostgresServer } from '../servers/postgres.ts';
import type { Application, Log, Running } from './children.ts';
import type { Broker } from './lane.ts';
import type { Operator } from './operator.ts';
import type { Random } from './random.ts';

export const KINDS = [
  'application',
  'freeze',
  'relay',
  'command',
  'copier',
  'connections',
  'database',
  'broker',
] as const;
export type FaultKind = (typeof KINDS)[number];

export interface FaultOptions {
  readonly random: Random;
  /** How many there may have been by now: so that early phases do not take them all. */
  readonly allowance: () => number;
  readonly server: PostgresServer;
  readonly broker: Broker | undefined;
  readonly applications: readonly Application[];
  readonly operator: Operator;
  readonly relay: () => Running | undefined;
  readonly isOver: () => boolean;
  /** Called when it strikes. */
  readonly struck: (kind: FaultKind) => void;
  readonly log: Log;
}

/** Longer than a lease lives: then the others go on without it. */
const MOST_FROZEN_MS = 6_500;

export async function strikeAtRandom(options: FaultOptions): Promise<void> {
  const { random, isOver, allowance } = options;
  const kinds: FaultKind[] = [
    ...(['application', 'application', 'relay', 'command', 'command', 'connections', 'database', 'database'] as const),
    ...(options.broker ? (['broker', 'broker'] as const) : []),
  ];
  // Standing still for so long costs as much time: not in each storm.
  if (random.chance(0.3)) kinds.push('freeze');
  const frozen: Promise<void>[] = [];
  for (let struck = 0; !isOver(); ) {
    await sleep(random.between(100, 1_500));
    if (isOver()) break;
    if (struck >= allowance()) continue;
    struck += 1;
    const kind = random.pick(kinds);
    if (kind === 'freeze') {
      kinds.splice(kinds.indexOf('freeze'), 1);
      frozen.push(freeze(options));
    } else await strike(kind, options);
  }
  await Promise.all(frozen);
}

async function strike(kind: FaultKind, options: FaultOptions): Promise<void> {
  const { random, server, broker, applications, operator, relay, struck, log } = options;
  // Commands are short: one to come is killed in the middle, and counted then.
  if (kind === 'command') return operator.doom('command');
  struck(kind);
  log(`✂ ${kind}`);
  if (kind === 'application') random.pick(applications).kill();
  else if (kind === 'relay') relay()?.kill();
  else if (kind === 'database') await server.restart();
  else if (kind === 'broker') {
    await broker?.kill();
    await broker?.restart();
  } else
    await operator
      .query(
        'select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()',
      )
      .catch(() => undefined);
}

async function freeze({ random, applications, isOver, struck, log }: FaultOptions): Promise<void> {
  const application = random.pick(applications);
  const until = performance.now() + random.between(500, MOST_FROZEN_MS);
  struck('freeze');
  log('✂ freeze');
  const goOn = application.freeze();
  while (performance.now() < until && !isOver()) await sleep(50);
  log('it goes on');
  goOn();
}
