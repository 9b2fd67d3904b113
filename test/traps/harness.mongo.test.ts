/** Proof that the trap tests can fail: the input is broken on purpose, and judge and proof must both see it. */
import type { Document } from 'mongodb';
import { describe, expect, it } from 'vitest';
import { migrateScenario, usePair } from './harness.ts';

const pair = usePair();
const many = (count: number): never[] =>
  Array.from({ length: count }, (_, i) => ({ _id: i, n: 1, pad: 'x'.repeat(80) })) as never[];
const by = (id: unknown): never => ({ _id: id }) as never;
const before = async ({ db }: { db: import('mongodb').Db }): Promise<void> => {
  await db.collection('c').insertMany(many(100));
  await db.collection('c').createIndex({ n: 1 });
  await db.createCollection('capped', { capped: true, size: 10_000 });
  await db.collection('capped').insertMany(many(5));
};

describe('the tests can fail', () => {
  it('a change that the log does not know is found by the proof', async () => {
    const scenario = migrateScenario({
      pair: pair(),
      before,
      // Written past Godwit: as if a change had been applied wrongly.
      copied: async ({ copy }) => copy.collection('c').updateOne(by(3), [{ $set: { n: { $toDouble: '$n' } } }]),
    });
    await expect(scenario).rejects.toThrow(/the run's own proof found: .*"different"/);
  });

  it('a document that is missing is found by the proof', async () => {
    const scenario = migrateScenario({
      pair: pair(),
      before,
      copied: async ({ copy }) => copy.collection('c').deleteOne(by(99)),
    });
    await expect(scenario).rejects.toThrow(/the run's own proof found: .*"missing"/);
  });

  it('the judge sees one type, one byte, one index option, one place in a capped collection', async () => {
    const breaks: [RegExp, (copy: import('mongodb').Db) => Promise<unknown>][] = [
      [/document .*3.* differs/, (copy) => copy.collection('c').updateOne(by(3), [{ $set: { n: { $toLong: '$n' } } }])],
      [
        /document .*4.* differs/,
        (copy) => copy.collection('c').updateOne(by(4), { $set: { pad: `${'x'.repeat(79)}y` } }),
      ],
      [/document .*5.* is missing/, (copy) => copy.collection('c').deleteOne(by(5))],
      [/index n_1/, (copy) => copy.command({ collMod: 'c', index: { name: 'n_1', hidden: true } })],
      [/capped: at position 4/, (copy) => swapLast(copy)],
    ];
    // Broken after the switch and after the run has ended, so that only the judge can see it.
    await migrateScenario({
      pair: pair(),
      before,
      after: async ({ copy, name }) => {
        const { compareClusters } = await import('../tools/compare-clusters.ts');
        for (const [seen, breakIt] of breaks) {
          await breakIt(copy);
          const { differences } = await compareClusters(pair().source.uri, pair().target.uri, {
            include: (db) => db === name,
          });
          expect(differences.join('\n')).toMatch(seen);
        }
      },
    });
  });

  it('a scenario whose copy has no middle fails', async () => {
    const scenario = migrateScenario({
      pair: pair(),
      before: async ({ db }) => db.collection('only').insertOne({ a: 1 } as Document),
      during: async () => undefined,
    });
    await expect(scenario).rejects.toThrow('to be greater than 0');
  });
});

async function swapLast(copy: import('mongodb').Db): Promise<void> {
  const c = copy.collection('capped');
  await c.deleteOne(by(4));
  await c.insertOne({ _id: 4, n: 2, pad: 'x'.repeat(80) } as never);
}
