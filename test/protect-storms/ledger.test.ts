import { expect, test } from 'vitest';
import { BLOCK, Ledger, stamp } from './ledger.ts';

function written(): { ledger: Ledger; image: Buffer } {
  const ledger = new Ledger(4);
  const image = Buffer.alloc(4 * BLOCK);
  for (const block of [0, 1, 2]) {
    for (let i = 0; i < 3; i += 1) {
      const version = ledger.submit(block);
      if (i < 2) ledger.acknowledge(block, version, i === 0);
      stamp(block, version).copy(image, block * BLOCK);
    }
  }
  return { ledger, image };
}

test('what was promised and what was only handed over are both right', () => {
  const { ledger, image } = written();
  expect(ledger.contradictions(image)).toEqual([]);
  stamp(1, 1).copy(image, BLOCK);
  expect(ledger.contradictions(image)).toEqual([]);
});

test('a safe version that is gone is found', () => {
  const { ledger, image } = written();
  image.fill(0, BLOCK, 2 * BLOCK);
  expect(ledger.contradictions(image)).toEqual(['block 1 is version 0, and 1 was safe']);
});

test('what was acknowledged must be there as long as its volume lives, and after a flush for ever', () => {
  const { ledger, image } = written();
  stamp(2, 1).copy(image, 2 * BLOCK);
  expect(ledger.contradiction(2, image.subarray(2 * BLOCK, 3 * BLOCK), true)).toContain('was acknowledged');
  expect(ledger.contradictions(image)).toEqual([]);
  ledger.flushing()();
  expect(ledger.contradictions(image)).toEqual(['block 2 is version 1, and 2 was safe']);
});

test('torn, misplaced and invented blocks are found', () => {
  const { ledger, image } = written();
  image[100] = (image[100] as number) ^ 1;
  stamp(0, 2).copy(image, BLOCK);
  stamp(2, 9).copy(image, 2 * BLOCK);
  expect(ledger.contradictions(image)).toHaveLength(3);
});
