/** Traps in `_id`: what is one key to the server need not have one spelling, nor one type. */

import type { Document } from 'bson';
import { Binary, Decimal128, Double, Int32, Long, MaxKey, MinKey, ObjectId, Timestamp, UUID } from 'bson';
import { describe, expect, it } from 'vitest';
import { insertRaw } from '../tools/raw-insert.ts';
import { migrateScenario, usePair } from './harness.ts';
import { decimal, doc, double, element, int32, rawDocuments } from './raw.ts';

const pair = usePair();
const many = (count: number, of: (i: number) => Document): never[] =>
  Array.from({ length: count }, (_, i) => of(i)) as never[];
const by = (id: unknown): never => ({ _id: id }) as never;

describe('_id', () => {
  it('ids of many types in one collection', () =>
    migrateScenario({
      pair: pair(),
      before: async ({ db }) => {
        await db.collection('c').insertMany(many(200, (i) => ({ _id: mixed(i), n: i, pad: 'x'.repeat(60) })));
      },
      holdAfter: 2,
      during: async ({ db }) => {
        const c = db.collection('c');
        await c.updateMany({ n: { $mod: [3, 0] } }, { $set: { touched: true } });
        await c.deleteMany({ n: { $mod: [7, 0] } });
        await c.insertMany(many(100, (i) => ({ _id: mixed(1000 + i), n: 1000 + i })));
      },
      flowing: async ({ db }) => {
        await db.collection('c').updateMany({ n: { $mod: [2, 0] } }, { $inc: { n: 1 } });
        await db.collection('c').deleteMany({ n: { $mod: [11, 0] } });
      },
      after: async ({ copy, db }) => {
        const types = await copy
          .collection('c')
          .aggregate([{ $group: { _id: { $type: '$_id' } } }])
          .toArray();
        expect(types.length).toBeGreaterThanOrEqual(12);
        expect(await copy.collection('c').countDocuments()).toBe(await db.collection('c').countDocuments());
      },
    }));

  it('a NaN id, which matches no range', () =>
    migrateScenario({
      pair: pair(),
      before: async ({ db, source, name }) => {
        await db.collection('c').insertMany(many(60, (i) => ({ _id: i - 30, pad: 'x'.repeat(60) })));
        await db.collection('c').insertOne({ _id: Number.NaN, a: 1 } as never);
        await insertRaw(source, `${name}.d`, [doc(decimal('_id', 5n, 0x7e00000000000000n), int32('a', 1))]);
        await db.collection('d').insertMany(many(60, (i) => ({ _id: i, pad: 'x'.repeat(60) })));
      },
      during: async ({ db, source, name }) => {
        await db.collection('c').updateOne(by(Number.NaN), { $set: { b: 2 } });
        await db.collection('c').deleteOne(by(Number.NaN));
        // The same key, spelt as a NaN with a payload.
        await insertRaw(source, `${name}.c`, [
          doc(double('_id', Buffer.from([1, 0, 0, 0, 0, 0, 0xf8, 0xff])), int32('a', 2)),
        ]);
        await db.collection('d').replaceOne(by(Decimal128.fromString('NaN')), { a: 2, z: 1 });
      },
      flowing: async ({ db }) => {
        await db.collection('c').updateOne(by(Number.NaN), { $set: { c: 3 } });
        await db.collection('d').updateOne(by(Number.NaN), { $set: { c: 3 } });
      },
      after: async ({ copy }) => {
        expect(await copy.collection('c').countDocuments({ a: 2, c: 3 })).toBe(1);
        expect(await copy.collection('d').countDocuments({ a: 2, c: 3 })).toBe(1);
      },
    }));

  it('a collated id: delete a, insert A', () =>
    migrateScenario({
      pair: pair(),
      applyTwice: true,
      before: async ({ db }) => {
        await db.createCollection('c', { collation: { locale: 'en', strength: 2 } });
        const letters = [...'abcdefghijklmnopqrstuvwxyz'];
        await db.collection('c').insertMany(letters.map((_id) => ({ _id, n: 0, pad: 'x'.repeat(100) })) as never[]);
        await db.collection('filler').insertMany(many(60, (i) => ({ _id: i, pad: 'x'.repeat(60) })));
      },
      holdAfter: 0,
      during: async ({ db }) => {
        await swapCase(db.collection('c'), 1);
        // Not there at the first time point: the replayed insert meets its other spelling in the copy.
        for (let i = 0; i < 20; i += 1) {
          await db.collection('c').insertOne({ _id: `new ${i}`, first: 1 } as never);
          await db.collection('c').deleteOne(by(`NEW ${i}`));
          await db.collection('c').insertOne({ _id: `New ${i}`, second: 1 } as never);
        }
      },
      copied: async ({ db }) => swapCase(db.collection('c'), 4),
      flowing: async ({ db }) => {
        await swapCase(db.collection('c'), 5);
        // Replaced under its other spelling, and updated under it.
        await db.collection('c').updateOne(by('q'), { $set: { found: true } });
      },
      after: async ({ copy }) => {
        expect((await copy.collection('c').findOne(by('q')))?.['found']).toBe(true);
        expect(await copy.collection('c').countDocuments()).toBe(46);
      },
    }));

  it('equal ids of another type: 1 becomes 1.0', () =>
    migrateScenario({
      pair: pair(),
      applyTwice: true,
      before: async ({ db }) => {
        await db.collection('c').insertMany(many(90, (i) => ({ _id: new Int32(i), n: 0, pad: 'x'.repeat(60) })));
      },
      during: async ({ db }) => {
        const c = db.collection('c');
        await c.updateMany({}, { $set: { before: 1 } });
        for (let i = 0; i < 90; i += 3) await c.replaceOne(by(i), { _id: new Double(i), as: 'double' } as never);
        for (let i = 1; i < 90; i += 3) await c.replaceOne(by(i), { _id: Long.fromNumber(i), as: 'long' } as never);
        await c.updateMany({}, { $set: { after: 1 } });
        for (let i = 0; i < 90; i += 6)
          await c.replaceOne(by(i), { _id: Decimal128.fromString(`${i}.0`), as: 'decimal' } as never);
        for (let i = 2; i < 90; i += 3) {
          await c.deleteOne(by(i));
          await c.insertOne({ _id: new Double(i), again: 1 } as never);
        }
      },
      flowing: async ({ db }) => {
        const c = db.collection('c');
        for (let i = 0; i < 90; i += 2) {
          await c.replaceOne(by(i), { _id: new Int32(i), back: 1 } as never);
          await c.updateOne(by(new Double(i)), { $set: { last: 1 } });
        }
      },
      after: async ({ copy }) => {
        const types = await copy
          .collection('c')
          .aggregate([{ $group: { _id: { $type: '$_id' } } }])
          .toArray();
        expect(types.map(({ _id }) => _id).sort()).toEqual(['double', 'int', 'long']);
      },
    }));

  it('clustered collections and ids that are documents, with other field order', () =>
    migrateScenario({
      pair: pair(),
      before: async ({ db }) => {
        await db.createCollection('clustered', {
          clusteredIndex: { key: { _id: 1 }, unique: true, name: 'own name' },
        } as never);
        await db
          .collection('clustered')
          .insertMany(many(90, (i) => ({ _id: i % 2 ? { b: i, a: 1 } : i, pad: 'x'.repeat(60) })));
        await db.collection('docs').insertMany(many(60, (i) => ({ _id: { a: i, b: 1 }, pad: 'x'.repeat(60) })));
        await db.collection('docs').insertMany(many(60, (i) => ({ _id: { b: 1, a: i }, pad: 'y'.repeat(60) })));
      },
      during: async ({ db }) => {
        for (const [name, id] of [
          ['clustered', (i: number) => (i % 2 ? { b: i, a: 1 } : i)],
          ['docs', (i: number) => (i % 2 ? { b: 1, a: i } : { a: i, b: 1 })],
        ] as const) {
          const c = db.collection(name);
          for (let i = 0; i < 60; i += 1) {
            if (i % 5 === 0) await c.deleteOne(by(id(i)));
            else if (i % 5 === 1) await c.replaceOne(by(id(i)), { replaced: i });
            else await c.updateOne(by(id(i)), { $set: { n: i } });
          }
        }
        await db.collection('docs').insertOne({ _id: { x: { y: [1, { z: 1 }] } } } as never);
      },
      flowing: async ({ db }) => {
        await db.collection('docs').updateOne(by({ b: 1, a: 3 }), { $set: { late: 1 } });
        await db.collection('docs').deleteOne(by({ a: 4, b: 1 }));
        await db.collection('clustered').deleteOne(by({ b: 7, a: 1 }));
        await db.collection('clustered').insertOne({ _id: { b: 7, a: 1 }, again: 1 } as never);
      },
      after: async ({ copy }) => {
        const docs = await rawDocuments(copy.collection('docs'), { late: 1 });
        const id = element(0x03, '_id', doc(int32('b', 1), int32('a', 3)));
        expect(docs[0]?.subarray(4, 4 + id.length)).toEqual(id);
      },
    }));
});

/** The same letters in the other case: one key, other bytes, and quickly one after the other. */
async function swapCase(c: import('mongodb').Collection, round: number): Promise<void> {
  for (const doc of await c.find().toArray()) {
    const old = String(doc._id);
    const other = old === old.toLowerCase() ? old.toUpperCase() : old.toLowerCase();
    await c.deleteOne(by(old));
    await c.insertOne({ _id: other, n: round } as never);
    if (round % 2 === 0) await c.updateOne(by(old), { $inc: { n: 100 } });
  }
}

function mixed(i: number): unknown {
  const makers = [
    () => i,
    () => new Double(i + 0.5),
    () => Long.fromString(`9007199254${i}`),
    () => Decimal128.fromString(`${i}.25`),
    () => `s${i}`,
    () => ({ k: i }),
    () => new ObjectId(i.toString(16).padStart(24, '0')),
    () => new UUID(`00000000-0000-4000-8000-${i.toString().padStart(12, '0')}`),
    () => new Binary(Buffer.from(`b${i}`), 0x80),
    () => new Date(i * 1000),
    () => new Timestamp({ t: i + 1, i: 1 }),
    () => (i < 14 ? true : i < 28 ? false : `bool ${i}`),
    () => (i < 14 ? null : `null ${i}`),
    () => (i < 14 ? new MinKey() : i < 28 ? new MaxKey() : `key ${i}`),
  ];
  return (makers[i % makers.length] as () => unknown)();
}
