/** Trap 6: kills a process at each of its round trips in turn, and looks at what is left. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import type { Model, RemodelStore } from '../../../src/kernel/remodel/index.ts';
import { waitFor } from '../../servers/wait-for.ts';
import type { KillMode } from './killed.ts';

export const CUSTOMERS = 80;
const AT_ONCE = 3;

/** What a customer is, on either side: e-mail and plan. */
type Seen = readonly [string, string] | undefined;
export interface Looks {
  old(id: number): Promise<Seen>;
  fresh(id: number): Promise<Seen>;
}

interface Case {
  readonly id: number;
  readonly mode: KillMode;
  readonly at: number;
}

const BEFORE = ['first', 'first'] as const;
const CHANGED = ['changed', 'changed'] as const;

/** Customers 1 to {@link CUSTOMERS} are there, with e-mail and plan `first`; the ramp is at 100 %. */
export async function killEverywhere<Tx>(
  env: { readonly STORE: string; readonly uri: string },
  store: RemodelStore<Tx>,
  model: Model,
  looks: Looks,
): Promise<void> {
  const whole = await run(env, { id: CUSTOMERS, mode: 'never', at: 0 });
  expect(whole.said.slice(0, 4)).toEqual(['written', 'carried', 'removed', 'carried away']);
  const trips = JSON.parse(whole.said[4] as string) as readonly boolean[];
  expect(trips.length).toBeGreaterThan(12);
  // Of a statement that is not a commit it makes no difference whether the server had it before the process died.
  const commits = [...trips.entries()].filter(([, isCommit]) => isCommit).map(([index]) => index + 1);
  expect(commits).toHaveLength(4);
  const cases = [
    ...trips.map((_, index) => ({ mode: 'before' as const, at: index + 1 })),
    ...commits.map((at) => ({ mode: 'sent' as const, at })),
  ].map((each, index): Case => ({ ...each, id: index + 1 }));
  expect(cases.length).toBeLessThan(CUSTOMERS);
  const said = new Map<number, readonly string[]>();
  const left = [...cases];
  const lane = async () => {
    for (let next = left.shift(); next !== undefined; next = left.shift()) {
      const result = await run(env, next);
      expect([next, result.signal]).toEqual([next, 'SIGKILL']);
      said.set(next.id, result.said);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, lane));

  const before = await store.backlog(model);
  expect(before.pending, 'the trap was there: somebody died before he carried').toBeGreaterThan(2);
  // Whoever comes next carries what they left.
  await waitFor(
    async () => {
      await store.relay(model, 100);
      return (await store.backlog(model)).pending === 0;
    },
    { timeoutMs: 60_000, what: 'the drain' },
  );
  const ends = new Map<string, number>();
  for (const { id, mode, at } of cases) {
    const [isOld, isNew] = [await looks.old(id), await looks.fresh(id)];
    const words = said.get(id) ?? [];
    // Acknowledged is done; what was asked for and not answered may be; nothing else.
    const least = words.includes('removed') ? 2 : words.includes('written') ? 1 : 0;
    const most = mode === 'before' ? least : Math.min(2, least + 1);
    const is = isOld === undefined ? 2 : isOld[0] === 'changed' ? 1 : 0;
    const where = `customer ${id}, killed ${mode} round trip ${at}, which said ${words.join(', ') || 'nothing'}`;
    expect(is, where).toBeGreaterThanOrEqual(least);
    expect(is, where).toBeLessThanOrEqual(most);
    const whole = [BEFORE, CHANGED, undefined][is];
    expect(isOld, where).toEqual(whole);
    // Not adopted is as good as before: the old model owns it.
    expect(isNew, where).toEqual(is === 0 ? undefined : whole);
    ends.set(`${mode} ${is}`, (ends.get(`${mode} ${is}`) ?? 0) + 1);
  }
  for (const end of ['before 0', 'before 1', 'before 2'])
    expect(ends.get(end), `${end} in ${JSON.stringify([...ends])}`).toBeGreaterThan(0);
  const { signal } = new AbortController();
  expect(await store.verify(model, { byValue: true, signal })).toMatchObject({ pending: 0, extra: 0, different: 0 });
  expect(await store.backlog(model)).toMatchObject({ quarantined: 0, dirty: 0 });
}

async function run({ STORE, uri }: { STORE: string; uri: string }, order: Case) {
  const child = spawn(process.execPath, ['--import', 'tsx', fileURLToPath(new URL('killed.ts', import.meta.url))], {
    env: { ...process.env, STORE, ORDER: JSON.stringify({ uri, ...order }) },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let out = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text;
  });
  const [, signal] = (await once(child, 'close')) as [number | null, string | null];
  return { signal, said: out.split('\n').filter((line) => line !== '') };
}
