/** Trap 6: a process is killed with transactions at each of their round trips. What is left? */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import type { Model, RemodelStore } from '../../../src/kernel/remodel/index.ts';
import { waitFor } from '../../servers/wait-for.ts';
import { type Place, type Said, UNHARMED } from './killed.ts';

/** Customers that there must be: e-mail and plan of each are `first`, the ramp is at 100 %. */
export const CUSTOMERS = [...Array.from({ length: 80 }, (_, i) => i + 1), UNHARMED];

/** E-mail and plan, on either side. */
type Seen = readonly unknown[] | undefined;
export interface Looks {
  old(id: number): Promise<Seen>;
  fresh(id: number): Promise<Seen>;
}

const STATES = [['first', 'first'], ['changed', 'changed'], undefined] as const;

export async function killEverywhere<Tx>(
  env: { readonly KILLED_STORE: string; readonly KILLED_URI: string },
  store: RemodelStore<Tx>,
  model: Model,
  looks: Looks,
): Promise<void> {
  const { places, steps } = await killed(env);
  expect((await store.backlog(model)).pending, 'the trap was there: nobody has carried').toBeGreaterThan(0);
  // Whoever comes next carries what was left. A server may hold what the dead had locked for a while.
  await waitFor(
    async () => {
      await store.relay(model, 100);
      return (await store.backlog(model)).pending === 0;
    },
    { timeoutMs: 60_000, what: 'the drain' },
  );
  const ends: number[] = [];
  for (const place of places) {
    const done = steps(place.id);
    // Acknowledged is done; what was asked for and not answered may be; nothing else.
    const least = done.includes('removed') ? 2 : done.includes('written') ? 1 : 0;
    const most = place.mode === 'before' ? least : Math.min(2, least + 1);
    const [old, fresh] = [await looks.old(place.id), await looks.fresh(place.id)];
    const is = old === undefined ? 2 : old[0] === 'changed' ? 1 : 0;
    const where = `${JSON.stringify(place)} after ${done.join(', ') || 'nothing'}`;
    expect(is, where).toBeGreaterThanOrEqual(least);
    expect(is, where).toBeLessThanOrEqual(most);
    expect(old, where).toEqual(STATES[is]);
    // Not moved is as good as before: the old model owns it.
    expect(fresh, where).toEqual(is === 0 ? undefined : STATES[is]);
    ends.push(is);
  }
  expect(new Set(ends)).toEqual(new Set([0, 1, 2]));
  const { signal } = new AbortController();
  expect(await store.verify(model, { byValue: true, signal })).toMatchObject({ pending: 0, extra: 0, different: 0 });
  expect(await store.backlog(model)).toMatchObject({ quarantined: 0, dirty: 0 });
}

async function killed(env: Readonly<Record<string, string>>) {
  const child = spawn(process.execPath, ['--import', 'tsx', fileURLToPath(new URL('killed.ts', import.meta.url))], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let out = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text;
  });
  const [, signal] = (await once(child, 'close')) as [number | null, string | null];
  const said = out
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Said);
  expect(signal).toBe('SIGKILL');
  expect(said.at(-1)).toEqual({ kind: 'all at their places' });
  const steps = (id: number) => said.flatMap((line) => (line.kind === 'step' && line.id === id ? [line.step] : []));
  expect(steps(UNHARMED)).toEqual(['written', 'carried', 'removed', 'carried away']);
  const { places, trips } = said.find((line) => line.kind === 'places') as {
    readonly places: readonly Place[];
    readonly trips: number;
  };
  expect(trips).toBeGreaterThan(12);
  expect(places).toHaveLength(trips + 4);
  return { places, steps };
}
