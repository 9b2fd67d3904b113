/** Traps in diff entries and documents: what a document is, down to its bytes. */
import type { Document } from 'bson';
import { Decimal128, Double, Int32, Long, Timestamp } from 'bson';
import type { Collection } from 'mongodb';
import { describe, expect, it } from 'vitest';
import { insertRaw } from '../tools/raw-insert.ts';
import { migrateScenario, usePair } from './harness.ts';
import { largest, oddNumbers, oddTypes, zeroTime } from './odd-values.ts';
import { doc, element, int32, rawDocuments, string } from './raw.ts';

const pair = usePair();
const padding = (bytes: number): string => 'x'.repeat(bytes);
const update = (collection: Collection, id: unknown, change: Document | Document[]): Promise<unknown> =>
  collection.updateOne({ _id: id } as Document, change);

describe('diff entries and documents', () => {
  it('a diff with a truncation and sibling fields in one update', () =>
    migrateScenario({
      pair: pair(),
      before: async ({ db }) => {
        const docs = Array.from({ length: 60 }, (_, i) => ({
          _id: i,
          arr: Array.from({ length: 20 }, (_, n) => ({ n, pad: padding(20) })),
          sub: { list: [1, 2, 3, 4, 5], keep: 'x', gone: 1 },
          n: 0,
        }));
        await db.collection('c').insertMany(docs as never[]);
      },
      during: async ({ db }) => {
        // The truncated array keeps an inner change beside its new size; its siblings change at the same time.
        const cut: Document[] = [
          {
            $set: {
              arr: { $slice: ['$arr', 7] },
              'sub.list': { $slice: ['$sub.list', 2] },
              'sub.new': 'sibling',
              n: { $add: ['$n', 1] },
              fresh: '$sub.keep',
            },
          },
          { $unset: 'sub.gone' },
        ];
        await db.collection('c').updateMany({}, cut);
        await db.collection('c').updateMany({ _id: { $lt: 30 } } as Document, [
          {
            $set: {
              arr: {
                $map: { input: { $slice: ['$arr', 3] }, as: 'a', in: { $mergeObjects: ['$$a', { pad: 'new' }] } },
              },
            },
          },
        ]);
      },
      flowing: async ({ db, pair: { source } }) => {
        await db
          .collection('c')
          .updateMany({}, [{ $set: { arr: { $concatArrays: [{ $slice: ['$arr', 2] }, ['tail']] }, n: 9 } }]);
        const entries = await (await source.client())
          .db('local')
          .collection('oplog.rs')
          .find({ op: 'u', ns: `${db.databaseName}.c` })
          .toArray();
        // The trap must be set: at least one entry truncates and changes siblings at once.
        expect(entries.some(({ o }) => JSON.stringify(o).includes('"sarr":{"a":true,"l":'))).toBe(true);
      },
    }));

  it('keys with dots, dollars and digits', () =>
    migrateScenario({
      pair: pair(),
      before: async ({ db }) => {
        const odd = {
          'a.b': 1,
          $d: { $e: 1, 'f.g': 2 },
          0: 'zero',
          sub: { 'a.b': 1, $d: 1, 0: [1], $set: 1 },
          arr: [{ 0: 1 }],
        };
        await db
          .collection('c')
          .insertMany(Array.from({ length: 80 }, (_, i) => ({ _id: i, ...odd, pad: padding(50) })) as never[]);
      },
      during: async ({ db }) => {
        const set = (field: string, value: unknown, input: unknown): Document => ({
          $setField: { field: { $literal: field }, input, value },
        });
        const stages: Document[] = [
          { $replaceWith: set('a.b', 2, '$$ROOT') },
          { $replaceWith: set('$d', 'dollar', '$$ROOT') },
          { $replaceWith: set('0', { n: 1 }, '$$ROOT') },
          { $set: { sub: set('a.b', 3, '$sub') } },
          { $set: { sub: set('$d', [1, 1], '$sub') } },
          { $set: { sub: set('0', 'digit', '$sub') } },
          { $set: { sub: set('$new.dotted', 1, '$sub') } },
        ];
        for (const stage of stages) await db.collection('c').updateMany({}, [stage]);
        // Whole documents with such names at their top: an update on the target would take them for operators.
        await db.collection('c').insertOne({ _id: 'in', $set: { a: 1 }, 'x.y': 1, $v: 2 } as never);
        await db.collection('c').deleteOne({ _id: 5 } as never);
        await db.collection('c').insertOne({ _id: 5, $inc: 1, 'x.y': 2 } as never);
      },
      flowing: async ({ db }) => {
        await db
          .collection('c')
          .updateMany({}, [
            { $replaceWith: { $unsetField: { field: { $literal: 'a.b' }, input: '$$ROOT' } } },
            { $replaceWith: { $setField: { field: { $literal: '$d' }, input: '$$ROOT', value: 'late' } } },
          ]);
        await db.collection('c').insertOne({ _id: 'late', $d: 1, 0: 1 } as never);
      },
      after: async ({ copy }) => {
        const found = await copy.collection('c').findOne({ _id: 1 } as never);
        expect(found?.['$d']).toBe('late');
        expect(found?.['sub']?.['$new.dotted']).toBe(1);
      },
    }));

  it('an old diff replayed on a newer shape: scalar, missing, short array', () =>
    migrateScenario({
      pair: pair(),
      before: async ({ db }) => {
        const shape = { a: { b: { c: 1 } }, arr: [{ x: 1 }, { x: 2 }, { x: 3 }], n: 0 };
        await db
          .collection('c')
          .insertMany(Array.from({ length: 90 }, (_, i) => ({ _id: i, ...shape, pad: padding(60) })) as never[]);
      },
      applyTwice: true,
      // Nothing is copied yet, so every diff below meets the final shape first and is replayed on it.
      holdAfter: 0,
      during: async ({ db }) => {
        const c = db.collection('c');
        await c.updateMany({}, { $set: { 'a.b.c': 2, 'arr.2.x': 30 }, $inc: { n: 1 } });
        await c.updateMany({ _id: { $mod: [3, 0] } } as never, { $set: { a: 5, arr: 'scalar' } });
        await c.updateMany({ _id: { $mod: [3, 1] } } as never, { $unset: { a: 1, arr: 1 } });
        await c.updateMany({ _id: { $mod: [3, 2] } } as never, { $set: { arr: [1], 'a.b': [] } });
        await c.updateMany({ _id: { $gte: 60, $lt: 75 } } as never, { $set: { arr: [{ x: 1 }], a: { b: null } } });
        await c.deleteMany({ _id: { $gte: 75 } } as never);
        await c.insertMany(
          Array.from({ length: 15 }, (_, i) => ({ _id: 75 + i, a: 'again', pad: padding(60) })) as never[],
        );
      },
    }));

  it('a truncation and 50,000 indexed sets of one array', () =>
    migrateScenario({
      pair: pair(),
      before: async ({ db }) => {
        const filler = Array.from({ length: 60 }, (_, i) => ({ _id: i, arr: [1], pad: padding(100) }));
        await db
          .collection('c')
          .insertMany([...filler, { _id: 'big', arr: Array.from({ length: 60_000 }, (_, n) => n) }] as never[]);
      },
      during: async ({ db }) => {
        // Every second element changes, and the end is cut off: a translation into pipeline stages explodes here.
        const every = { $cond: [{ $mod: ['$$n', 2] }, '$$n', { $multiply: ['$$n', -3] }] };
        await update(db.collection('c'), 'big', [
          { $set: { arr: { $map: { input: { $slice: ['$arr', 50_000] }, as: 'n', in: every } }, more: 1 } },
        ]);
      },
      flowing: async ({ db }) => {
        const set = Object.fromEntries(Array.from({ length: 20_000 }, (_, i) => [`arr.${i * 2}`, 'late']));
        await update(db.collection('c'), 'big', { $set: set });
      },
    }));

  it('field order, a document that holds $v, and duplicate field names', () =>
    migrateScenario({
      pair: pair(),
      before: async ({ db, source, name }) => {
        await db.collection('c').insertMany(
          Array.from({ length: 80 }, (_, i) => ({
            _id: i,
            a: 1,
            b: 2,
            c: { x: 1, y: 2 },
            z: padding(60),
          })) as never[],
        );
        await insertRaw(source, `${name}.c`, [doc(int32('twice', 1), int32('_id', 1000), string('twice', 'two'))]);
      },
      during: async ({ db, source, name }) => {
        const c = db.collection('c');
        await c.updateMany({}, { $unset: { a: 1, 'c.x': 1 } });
        await c.updateMany({}, { $set: { a: 'last', 'c.x': 'last' } });
        await c.replaceOne({ _id: 3 } as never, { z: 1, a: 2, b: 3 });
        await c.replaceOne({ _id: 70 } as never, { b: 1, a: 2, z: { y: 1, x: 2 } });
        // Looks like a diff of the log and is a document.
        await update(c, 4, [
          {
            $replaceWith: {
              $setField: { field: { $literal: '$v' }, input: { _id: '$_id', diff: { u: { a: 9 } } }, value: 2 },
            },
          },
        ]);
        await update(c, 71, [
          {
            $replaceWith: {
              $setField: { field: { $literal: '$v' }, input: { diff: { i: 1 }, _id: '$_id' }, value: 1 },
            },
          },
        ]);
        await insertRaw(source, `${name}.c`, [
          doc(int32('_id', 1001), int32('same', 1), int32('same', 1), string('same', 'three')),
        ]);
      },
      flowing: async ({ db, source, name }) => {
        await update(db.collection('c'), 5, { $rename: { b: 'renamed', c: 'moved' } });
        await insertRaw(source, `${name}.c`, [
          doc(int32('_id', 1002), element(0x03, 'sub', doc(int32('q', 1), int32('q', 2)))),
        ]);
      },
      after: async ({ copy }) => {
        const [twice] = await rawDocuments(copy.collection('c'), { _id: 1001 });
        expect(twice).toEqual(doc(int32('_id', 1001), int32('same', 1), int32('same', 1), string('same', 'three')));
      },
    }));

  it('documents of 16 MiB, a 9 MiB update, and batches beyond 48 MB', { timeout: 240_000 }, () =>
    migrateScenario({
      pair: pair(),
      options: { chunkMb: 20 },
      before: async ({ db, source, name }) => {
        await db.collection('c').insertOne({ _id: 'small', a: 1 } as never);
        await insertRaw(source, `${name}.c`, [largest('copied')]);
        await db.collection('filler').insertOne({ a: 1 });
      },
      holdAfter: 0,
      during: async ({ source, name, db }) => {
        // A change stream dies of this one; the log yields it.
        await insertRaw(source, `${name}.c`, [largest('a'.repeat(6 * 1024))]);
        await update(db.collection('c'), 'small', { $set: { big: padding(9 * 1024 * 1024) } });
        await update(db.collection('c'), 'small', { $set: { big: padding(9 * 1024 * 1024 + 1) } });
      },
      copied: async ({ source, name, db }) => {
        for (let i = 0; i < 4; i += 1) await insertRaw(source, `${name}.c`, [largest(`log ${i}`)]);
        // Two diffs that are legal one by one and too large for one statement together.
        await db.collection('c').insertOne({ _id: 'two', a: 1 } as never);
        await source.withSession((session) =>
          session.withTransaction(async () => {
            const c = db.collection('c');
            await c.updateOne({ _id: 'two' } as never, { $set: { first: padding(3 * 1024 * 1024) } }, { session });
            await c.updateOne(
              { _id: 'two' } as never,
              { $set: { first: '', second: padding(14 * 1024 * 1024), third: 1 } },
              { session },
            );
          }),
        );
      },
      flowing: async ({ db }) => {
        const c = db.collection('c');
        await update(c, 'two', { $set: { first: padding(1024 * 1024) } });
        await update(c, 'log 0', { $set: { b: 1 }, $unset: { pad: 1 } });
        await c.replaceOne({ _id: 'log 1' } as never, { pad: padding(16 * 1024 * 1024 - 100) });
      },
    }),
  );

  it('numbers of every type: 1 and 1.0, -0, NaN', () =>
    migrateScenario({
      pair: pair(),
      before: async ({ db, source, name }) => {
        await db.collection('c').insertMany(
          Array.from({ length: 80 }, (_, i) => ({
            _id: i,
            n: new Int32(1),
            z: new Double(0),
            pad: padding(60),
          })) as never[],
        );
        await insertRaw(source, `${name}.c`, oddNumbers(1000));
      },
      during: async ({ db, source, name }) => {
        const c = db.collection('c');
        // Only the type changes; the value is equal to the server.
        const types = [
          new Double(1),
          Long.fromNumber(1),
          Decimal128.fromString('1'),
          Decimal128.fromString('1.0'),
          new Int32(1),
        ];
        for (const [i, n] of types.entries()) await c.updateMany({ _id: { $mod: [5, i] } } as never, { $set: { n } });
        await c.updateMany({}, { $set: { z: new Double(-0) } });
        await c.updateMany({ _id: { $lt: 10 } } as never, { $set: { z: new Double(Number.NaN) } });
        await insertRaw(source, `${name}.c`, oddNumbers(2000));
      },
      flowing: async ({ db, source, name }) => {
        await db.collection('c').updateMany({}, { $set: { n: Decimal128.fromString('1.00'), z: new Int32(0) } });
        await insertRaw(source, `${name}.c`, oddNumbers(3000));
      },
    }));

  it('deprecated and odd types, never decoded', () =>
    migrateScenario({
      pair: pair(),
      before: async ({ db, source, name }) => {
        await db
          .collection('c')
          .insertMany(Array.from({ length: 60 }, (_, i) => ({ _id: i, pad: padding(60) })) as never[]);
        await insertRaw(source, `${name}.c`, oddTypes(1000));
      },
      during: async ({ source, name, db }) => {
        await insertRaw(source, `${name}.c`, oddTypes(2000));
        // A diff that carries such a value along, and one that leaves it where it is.
        await db
          .collection('c')
          .updateMany({ _id: { $gte: 1000 } } as never, [{ $set: { beside: '$odd', nested: { again: '$odd' } } }]);
        await db.collection('c').updateMany({ _id: { $gte: 2000 } } as never, { $set: { touched: 1 } });
      },
      flowing: async ({ source, name, db }) => {
        await insertRaw(source, `${name}.c`, oddTypes(3000));
        await db.collection('c').updateMany({ _id: { $gte: 3000 } } as never, { $set: { touched: 1 } });
      },
      after: async ({ copy }) => {
        const stored = await rawDocuments(copy.collection('c'), { _id: { $gte: 3000 }, touched: 1 });
        expect(stored).toHaveLength(oddTypes(3000).length);
      },
    }));

  it('Timestamp(0,0) at the top level is kept', () =>
    migrateScenario({
      pair: pair(),
      before: async ({ db, source, name }) => {
        await db
          .collection('c')
          .insertMany(Array.from({ length: 60 }, (_, i) => ({ _id: i, pad: padding(60) })) as never[]);
        await zeroTime(source, name, 1000);
      },
      during: async ({ source, name, db }) => {
        await zeroTime(source, name, 2000);
        await db
          .collection('c')
          .updateMany({ _id: { $lt: 20 } } as never, [{ $set: { ts: new Timestamp({ t: 0, i: 0 }) } }]);
      },
      flowing: async ({ source, name, db }) => {
        await zeroTime(source, name, 3000);
        await db.collection('c').updateMany({ _id: { $gte: 1000, $lt: 3000 } } as never, { $set: { beside: 1 } });
      },
      after: async ({ copy }) => {
        for (const id of [1000, 2000, 3000]) {
          const [stored] = await rawDocuments(copy.collection('c'), { _id: id });
          expect(stored?.includes(element(0x11, 'ts', Buffer.alloc(8)))).toBe(true);
        }
      },
    }));
});
