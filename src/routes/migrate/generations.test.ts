import { expect, test } from 'vitest';
import type { Position } from '../../kernel/position.ts';
import type { RunStore } from '../../state/index.ts';
import { currentGeneration, previousGeneration, setGeneration } from './generations.ts';

function storeOf(): RunStore {
  const values = new Map<string, string>();
  return {
    get: (key: string) => (values.has(key) ? JSON.parse(values.get(key)!) : undefined),
    set: (key: string, value: unknown) => void values.set(key, JSON.stringify(value)),
  } as unknown as RunStore;
}

const generation = (number: number) => ({
  number,
  direction: number % 2 === 0 ? ('forward' as const) : ('reverse' as const),
  start: String(number) as Position,
  structureAsOf: String(number) as Position,
});

test('the one under way, the one before, and back to it', () => {
  const store = storeOf();
  expect(() => currentGeneration(store)).toThrow(expect.objectContaining({ code: 'GW9001' }));
  setGeneration(store, generation(0));
  expect(() => previousGeneration(store)).toThrow(expect.objectContaining({ code: 'GW9001' }));
  setGeneration(store, generation(1));
  expect(currentGeneration(store)).toEqual(generation(1));
  expect(previousGeneration(store)).toEqual(generation(0));
  // An undone switch goes back; the next attempt takes the same number again.
  setGeneration(store, previousGeneration(store));
  expect(currentGeneration(store)).toEqual(generation(0));
  setGeneration(store, { ...generation(1), start: '9' as Position });
  expect(currentGeneration(store).start).toBe('9');
  expect(previousGeneration(store)).toEqual(generation(0));
});
