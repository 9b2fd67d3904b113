import { expect, test } from 'vitest';
import type { CollectionSpec } from '../../adapters/mongodb/index.ts';
import type { Position } from '../../kernel/position.ts';
import type { RunStore } from '../../state/index.ts';
import { trackedCopy } from './copied.ts';
import { KEY } from './run-context.ts';

const UUID = 'ab'.repeat(16);
const [LISTED, EARLY, COPIED, LATER] = ['1', '2', '3', '4'] as Position[] as [Position, Position, Position, Position];
const spec = { uuid: UUID, db: 'shop', name: 'ring', capped: true, collated: false } as unknown as CollectionSpec;
const target = { db: 'shop', collection: 'ring' };

function skipped(copyStart: Position | undefined, early: Position | undefined): Position {
  const store = { get: (key: string) => (key === KEY.copyStart(UUID) ? copyStart : undefined) } as unknown as RunStore;
  return trackedCopy({ store }, spec, target, LISTED, early === undefined ? {} : { [UUID]: early }).skipUntil;
}

test('a copy holds the log up to its own beginning, and what was applied early to it if that is more', () => {
  expect(skipped(undefined, undefined)).toBe(LISTED);
  expect(skipped(COPIED, undefined)).toBe(COPIED);
  expect(skipped(undefined, EARLY)).toBe(EARLY);
  expect(skipped(COPIED, LATER)).toBe(LATER);
  // It began after the place where early applying had to end.
  expect(skipped(COPIED, EARLY)).toBe(COPIED);
});
