import { expect, test } from 'vitest';
import type { CollectionSpec } from '../catalog.ts';
import { positionOf } from '../position.ts';
import { trackedOfTests, UUID } from './entries.test-support.ts';
import { TrackedCollections, trackedOf } from './tracked.ts';

const OTHER = 'ff'.repeat(16);

test('collections are found by identity, as text and as bytes anywhere in a buffer', () => {
  const tracked = TrackedCollections.of([
    trackedOfTests(),
    trackedOfTests({ uuid: OTHER, target: { db: 'a', collection: 'b' } }),
  ]);
  const buf = Buffer.concat([Buffer.alloc(3), Buffer.from(OTHER, 'hex'), Buffer.from(UUID, 'hex')]);
  expect(tracked.at(buf, 3)?.uuid).toBe(OTHER);
  expect(tracked.at(buf, 19)?.uuid).toBe(UUID);
  expect(tracked.at(buf, 4)).toBeUndefined();
  expect(tracked.get(UUID)?.source.name).toBe('orders');
  expect(tracked.byTarget({ db: 'a', collection: 'b' })?.uuid).toBe(OTHER);
  tracked.remove(OTHER);
  expect(tracked.at(buf, 3)).toBeUndefined();
  expect(tracked.all().map(({ uuid }) => uuid)).toEqual([UUID]);
});

test('what is remembered is a copy: changes of one do not reach the other', () => {
  const remembered = [trackedOfTests()];
  const tracked = TrackedCollections.of(remembered);
  tracked.get(UUID)!.fuzzyUntil = positionOf(1, 1);
  expect(remembered[0]!.fuzzyUntil).toBe('');
  expect(TrackedCollections.of(JSON.parse(JSON.stringify(tracked.all()))).all()).toEqual(tracked.all());
});

const spec: CollectionSpec = {
  uuid: UUID,
  db: 'shop',
  name: 'orders',
  options: Buffer.alloc(0),
  indexes: [],
  capped: false,
  clustered: false,
  collated: false,
};

test.each([
  [{}, false],
  [{ capped: true }, true],
  [{ collated: true }, true],
  [{ clustered: true }, false],
])('%j: order counts: %s', (over, sequential) => {
  const tracked = trackedOf({ ...spec, ...over }, { db: 'x', collection: 'y' }, positionOf(3, 4));
  expect(tracked).toMatchObject({ sequential, ghost: false, skipUntil: positionOf(3, 4), fuzzyUntil: '' });
});

test('a collection without identity cannot be followed', () => {
  expect(() => trackedOf({ ...spec, uuid: '' }, { db: 'x', collection: 'y' }, positionOf(1, 1))).toThrow(
    expect.objectContaining({ code: 'GW9001' }),
  );
});
