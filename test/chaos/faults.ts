import { setTimeout as sleep } from 'node:timers/promises';
import type { Member, ReplicaSet } from '../servers/index.ts';
import type { Rng } from '../torture/rng.ts';

/** What a fault may hit. */
export interface Victims {
  readonly source: ReplicaSet;
  readonly target: ReplicaSet;
  readonly godwit: {
    signal(signal: NodeJS.Signals): void;
    /** Kills it; its keeper starts another after the pause. */
    kill(pauseMs: number): Promise<void>;
  };
  /** A member was started again; what was set on it while it ran has to be set anew. */
  readonly onStart: (member: Member) => Promise<void>;
  /** Database whose collection `c0` takes the writes that are to be rolled back. */
  readonly db: string;
}

export interface Fault {
  readonly name: string;
  readonly weight: number;
  /** Does it and mends it; resolves when it is mended. */
  readonly strike: (victims: Victims, rng: Rng) => Promise<void>;
}

type Side = 'source' | 'target';

function onSet(
  name: string,
  weight: number,
  strike: (set: ReplicaSet, rng: Rng, victims: Victims) => Promise<void>,
): Fault[] {
  return (['source', 'target'] as const satisfies readonly Side[]).map((side) => ({
    name: `${side}.${name}`,
    weight,
    strike: (victims, rng) => strike(victims[side], rng, victims),
  }));
}

/** All faults; each heals within seconds, as what does not heal is another test. */
export const FAULTS: readonly Fault[] = [
  { name: 'godwit.kill', weight: 4, strike: ({ godwit }, rng) => godwit.kill(rng.int(1000)) },
  {
    name: 'godwit.freeze',
    weight: 1.5,
    strike: async ({ godwit }, rng) => {
      godwit.signal('SIGSTOP');
      await sleep(rng.between(500, 4000));
      godwit.signal('SIGCONT');
    },
  },
  ...onSet('stepDown', 1.5, (set) => set.stepDown()),
  ...onSet('kill', 1.5, async (set, rng, { onStart }) => {
    const primary = await set.primary();
    await primary.kill('SIGKILL');
    await sleep(rng.between(300, 3000));
    await primary.start();
    await onStart(primary);
  }),
  ...onSet('cut', 1.5, async (set) => {
    for (const member of set.members) member.proxy?.cut();
  }),
  ...onSet('blackhole', 1, async (set, rng) => {
    const { proxy } = await set.primary();
    proxy?.blackhole();
    await sleep(rng.between(500, 4000));
    proxy?.unblackhole();
    if (rng.chance(0.5)) proxy?.cut();
  }),
  ...onSet('block', 1, async (set, rng) => {
    for (const member of set.members) member.proxy?.block();
    await sleep(rng.between(300, 1500));
    for (const member of set.members) member.proxy?.unblock();
  }),
  ...onSet('slow', 0.5, async (set, rng) => {
    for (const member of set.members) member.proxy?.delay(rng.between(20, 150));
    await sleep(rng.between(500, 2000));
    for (const member of set.members) member.proxy?.delay(0);
  }),
  { name: 'source.rollback', weight: 1, strike: ({ source, db }) => rollBack(source, db) },
];

/**
 * Nobody can fetch the primary's log any more, it takes writes that only it has, another is elected, and
 * the old one must take them back. Such writes must never show on the target.
 */
async function rollBack(set: ReplicaSet, db: string): Promise<void> {
  const old = await set.primary();
  if (set.members.length < 3) return old.proxy?.cut();
  const client = await old.client();
  old.proxy?.block();
  try {
    for (let i = 0; i < 20; i += 1) {
      const doc = { _id: `rolled back ${Date.now()} ${i}` };
      await client
        .db(db)
        .collection<{ _id: string }>('c0')
        .insertOne(doc, { writeConcern: { w: 1 } });
      await sleep(20);
    }
  } catch {
    // It has noticed by now that it is primary no longer.
  }
  const deadline = performance.now() + 15_000;
  while ((await set.primary()) === old && performance.now() < deadline) await sleep(50);
  old.proxy?.unblock();
}

/** A fault by weight. */
export function pickFault(rng: Rng, among: readonly Fault[] = FAULTS): Fault {
  let left = rng.next() * among.reduce((sum, fault) => sum + fault.weight, 0);
  for (const fault of among) {
    left -= fault.weight;
    if (left < 0) return fault;
  }
  return among[among.length - 1] as Fault;
}

/** Ends whatever is still broken on a set, and waits until it is whole. */
export async function mend(set: ReplicaSet): Promise<void> {
  for (const member of set.members) {
    member.proxy?.unblackhole();
    member.proxy?.unblock();
    member.proxy?.delay(0);
    if (!member.running) await member.start();
  }
  await set.ready();
}
