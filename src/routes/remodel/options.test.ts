import { expect, test } from 'vitest';
import { parsePart, parseShare } from './option-values.ts';
import { parseRemodelOptions, remodelJsonSchema } from './options.ts';

const BOTH = { definition: 'm.js', db: 'postgres://u:secret@h/d' };
const refused = (sources: Parameters<typeof parseRemodelOptions>[0]) => {
  try {
    parseRemodelOptions(sources);
  } catch (error) {
    return error as { code: string; message: string };
  }
  throw new Error('not refused');
};

test('a flag is stronger than the environment, which is stronger than the file', () => {
  const yaml = { ...BOTH, lanes: 3, chunk: 7, lagLimit: '3s' };
  const env = { GODWIT_LANES: '4', GODWIT_LAG_LIMIT: '250ms' };
  expect(parseRemodelOptions({ yaml, env, flags: { lanes: '5' } })).toEqual({
    ...BOTH,
    lanes: 5,
    chunk: 7,
    lagLimitSeconds: 0.25,
    timeoutSeconds: 60,
    samples: 50,
    throttle: 'auto',
    latencyLimit: 1.5,
    soakSeconds: 60,
    minShadow: 100,
    engine: 'live',
    work: '.godwit/remodel',
    acceptLossy: false,
    dryRun: false,
  });
});

test('what is wrong is named, without secrets', () => {
  expect(refused({ flags: { definition: 'm.js' } }).message).toMatch(
    /^--db is missing; give --db, GODWIT_DB, or `db:`/,
  );
  const odd = refused({ flags: { ...BOTH, db: 'mysql://u:secret@h/d' } });
  expect(odd.code).toBe('GW1001');
  expect(odd.message).not.toContain('secret');
  expect(refused({ flags: BOTH, env: { GODWIT_LANES: 'many' } }).message).toMatch(/^GODWIT_LANES: many is not valid/);
  expect(refused({ yaml: { ...BOTH, lane: 2 } }).message).toMatch(/`lane` is not an option/);
  expect(refused({ yaml: { ...BOTH, acceptLossy: true } }).message).toMatch(/`acceptLossy` is not an option/);
});

test('consent is given by flag alone, never by a variable that was left in the environment', () => {
  expect(parseRemodelOptions({ flags: BOTH, env: { GODWIT_ACCEPT_LOSSY: 'true' } }).acceptLossy).toBe(false);
  expect(parseRemodelOptions({ flags: { ...BOTH, 'accept-lossy': true } }).acceptLossy).toBe(true);
});

test('shares and parts', () => {
  expect(['0%', '5%', '0.25 %', '100%'].map(parseShare)).toEqual([0, 500, 25, 10_000]);
  for (const text of ['5', '101%', '-1%', '', '1.234%']) expect(() => parseShare(text)).toThrow(/is not a share/);
  expect(parsePart('2/4')).toEqual({ index: 2, count: 4 });
  for (const text of ['0/4', '5/4', '1', 'a/b', '']) expect(() => parsePart(text)).toThrow(/--part/);
});

test('the schema of a file has every key', () => {
  expect(Object.keys(remodelJsonSchema()['properties'] as object)).toContain('lagLimit');
});
