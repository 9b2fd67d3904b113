import { expect, test } from 'vitest';
import { Solitude } from './solitude.ts';

function syncInPool(solitude: Solitude, { disturbed = false, ms = 1 } = {}): void {
  solitude.began();
  if (disturbed) solitude.called();
  solitude.ended(ms);
}

test('after some syncs that nobody disturbed the next ones are made on the spot, and now and then one looks again', () => {
  const solitude = new Solitude();
  for (let i = 0; i < 32; i++) {
    expect(solitude.isAlone).toBe(false);
    solitude.called(); // between two syncs: the client that waits for them
    syncInPool(solitude);
  }
  for (let i = 0; i < 16; i++) {
    expect(solitude.isAlone).toBe(true);
    solitude.took(1);
  }
  expect(solitude.isAlone).toBe(false);
  syncInPool(solitude);
  expect(solitude.isAlone).toBe(true);
});

test('whoever asks for something during a sync has the next ones made in the pool', () => {
  const solitude = new Solitude();
  for (let i = 0; i < 32; i++) syncInPool(solitude);
  for (let i = 0; i < 16; i++) solitude.took(1);
  syncInPool(solitude, { disturbed: true });
  for (let i = 0; i < 32; i++) {
    expect(solitude.isAlone).toBe(false);
    syncInPool(solitude);
  }
  expect(solitude.isAlone).toBe(true);
});

test('a slow disk is waited for in the pool', () => {
  const solitude = new Solitude();
  for (let i = 0; i < 40; i++) syncInPool(solitude, { ms: 6 });
  expect(solitude.isAlone).toBe(false);
  for (let i = 0; i < 32; i++) syncInPool(solitude);
  solitude.took(6);
  expect(solitude.isAlone).toBe(false);
});
