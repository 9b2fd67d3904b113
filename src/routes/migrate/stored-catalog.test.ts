import { serialize } from 'bson';
import { expect, test } from 'vitest';
import type { Catalog } from '../../adapters/mongodb/index.ts';
import type { Position } from '../../kernel/position.ts';
import { loadCatalog, storeCatalog } from './stored-catalog.ts';

test('a catalog comes back byte for byte, through JSON', () => {
  const raw = (value: object) => Buffer.from(serialize(value));
  const every = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
  const spec = { uuid: 'a'.repeat(32), db: 'shop', name: 'orders', capped: false, clustered: true, collated: false };
  const catalog: Catalog = {
    position: '0000000500000001' as Position,
    collections: [
      { ...spec, options: raw({ collation: { locale: 'de' } }), indexes: [raw({ key: { a: 1 } }), every] },
      { ...spec, name: 'system.buckets.ts', options: raw({}), indexes: [], series: every },
    ],
    views: [{ db: 'shop', name: 'v', options: every }],
  };
  expect(loadCatalog(JSON.parse(JSON.stringify(storeCatalog(catalog))))).toEqual(catalog);
  // A plain collection must not come back as a time series of nothing.
  expect(loadCatalog(storeCatalog(catalog)).collections[0]).not.toHaveProperty('series');
});
