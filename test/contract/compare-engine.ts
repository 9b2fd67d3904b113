import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type CompareEngine, type CompareInput, compareSqlHash } from '../../src/kernel/remodel/index.ts';
import {
  compareFileOf,
  countsOf,
  missingFileOf,
  partFile,
  snapshotOf,
  type Text,
  type World,
  withBigint,
} from './compare-world.ts';
import { NASTY_TEXTS } from './nasty-text.ts';

/** Makes an engine whose temporary files lie in a directory. */
export type MakeCompareEngine = (tempDir: string) => Promise<CompareEngine>;

/** What a path may hold, and a pattern, a list or a URL would take for its own. */
const ODD_NAME = "[odd]*{a,b}?'%20 é";
const PARTS = 3;
const never = new AbortController().signal;

/**
 * What `CompareEngine` promises. The bytes of its files are held against ones
 * that are made here without an engine: who passes writes the same as every other.
 */
export function describeCompareEngineContract(name: string, make: MakeCompareEngine, timeoutMs: number): void {
  describe(name, { timeout: timeoutMs }, () => {
    let [outer, dir] = ['', ''];
    let engine: CompareEngine;
    const world = nastyWorld();
    let input: CompareInput;
    const bytesOf = (file: string) => readFileSync(file, 'utf8');

    beforeAll(async () => {
      outer = mkdtempSync(join(tmpdir(), 'godwit-compare-'));
      dir = join(outer, ODD_NAME);
      engine = await make(join(dir, 'temporary'));
      input = await snapshotOf(world, join(dir, 'nasty'), PARTS);
      await withBigint(input.oldFiles, PARTS, 'c2');
      await withBigint(input.newFiles, PARTS, 'c2');
    });
    afterAll(async () => {
      await engine?.close();
      rmSync(outer, { recursive: true, force: true });
    });

    test('lists what the new model lacks, byte for byte', async () => {
      const file = join(dir, 'missing');
      const count = await engine.missing(input, file, never);
      expect(sameBytes(bytesOf(file), missingFileOf(world))).toBe('the same');
      expect(count).toBe(countsOf(world).missing);
    });

    test('finds every difference with its columns and no other, byte for byte', async () => {
      const file = join(dir, 'compared');
      const summary = await engine.compare(input, file, never);
      expect(sameBytes(bytesOf(file), compareFileOf(world))).toBe('the same');
      expect(summary).toEqual({ ...countsOf(world), sql: compareSqlHash(world.columns.length) });
      for (const kind of ['missing', 'extra', 'resurrected', 'different'] as const) {
        expect(summary[kind], kind).toBeGreaterThan(50);
      }
    });

    test('compares keys alone; tables may be empty', async () => {
      const [a, b]: readonly [Text[], Text[]] = [[], []];
      const keys: World = {
        columns: [],
        old: new Map([
          ['a', a],
          ['A', b],
        ]),
        new: new Map([['a', a]]),
        pending: new Set(),
        tombstone: new Set(),
      };
      const file = join(dir, 'keys');
      const summary = await engine.compare(await snapshotOf(keys, join(dir, 'keys only'), PARTS), file, never);
      expect(bytesOf(file)).toBe(compareFileOf(keys));
      expect(summary).toEqual({ ...countsOf(keys), sql: compareSqlHash(0) });
    });

    test('does not compare a number with text that says it', async () => {
      const numbers: World = {
        columns: ['n'],
        old: new Map([['a', ['7']]]),
        new: new Map([['a', ['007']]]),
        pending: new Set(),
        tombstone: new Set(),
      };
      const mixed = await snapshotOf(numbers, join(dir, 'mixed'), 1);
      await withBigint(mixed.oldFiles, 1, 'c0');
      const file = join(dir, 'mixed', 'out');
      await expect(engine.compare(mixed, file, never)).rejects.toMatchObject({ code: 'GW1009' });
      expect(existsSync(file)).toBe(false);
    });

    test('a lost part is an error, and not a table without rows', async () => {
      const lost = await snapshotOf(world, join(dir, 'lost'), 2);
      rmSync(partFile(lost.oldFiles, 1));
      const file = join(dir, 'lost', 'out');
      await expect(engine.missing(lost, file, never)).rejects.toMatchObject({ code: 'GW1009' });
      rmSync(partFile(lost.oldFiles, 0));
      await expect(engine.compare(lost, file, never)).rejects.toMatchObject({ code: 'GW1009' });
      expect(existsSync(file)).toBe(false);
    });

    test('does not begin once it was stopped', async () => {
      const stopped = AbortSignal.abort();
      const file = join(dir, 'stopped');
      await expect(engine.missing(input, file, stopped)).rejects.toMatchObject({ code: 'GW8001' });
      await expect(engine.compare(input, file, stopped)).rejects.toMatchObject({ code: 'GW8001' });
      expect(existsSync(file)).toBe(false);
    });

    test('leaves nothing behind', () => {
      expect(readdirSync(outer)).toEqual([ODD_NAME]);
      expect(readdirSync(join(dir, 'temporary'))).toEqual([]);
      expect(readdirSync(dir).filter((each) => each.includes('unfinished'))).toEqual([]);
    });
  });
}

/** Says where two texts part, rather than printing megabytes. */
function sameBytes(found: string, wanted: string): string {
  if (found === wanted) return 'the same';
  const [is, should] = [found.split('\n'), wanted.split('\n')];
  const at = should.findIndex((line, i) => line !== is[i]);
  return `line ${at}: ${is[at]?.slice(0, 200)} and not ${should[at]?.slice(0, 200)}`;
}

/** What becomes of an identity, in turn. */
const FATES = [
  'same',
  'missing',
  'extra',
  'resurrected',
  'different',
  'pending missing',
  'pending extra',
  'pending different',
  'made again',
] as const;

/** Every nasty text as a key of every fate, and every pair of nasty texts, NULL among them, as two values of a column. */
function nastyWorld(): World {
  const old = new Map<string, readonly Text[]>();
  const made = new Map<string, readonly Text[]>();
  const [pending, tombstone] = [new Set<string>(), new Set<string>()];
  const add = (k: string, fate: (typeof FATES)[number]) => {
    const row = [k, null, '7'];
    if (!fate.endsWith('extra')) old.set(k, row);
    if (fate.endsWith('different')) made.set(k, [k, '', '8']);
    else if (!fate.endsWith('missing') && fate !== 'resurrected') made.set(k, row);
    if (fate.startsWith('pending')) pending.add(k);
    if (fate === 'resurrected' || fate === 'made again') tombstone.add(k);
  };
  for (const [i, text] of NASTY_TEXTS.entries()) {
    add(text, FATES[i % FATES.length] as (typeof FATES)[number]);
    for (const fate of FATES) add(`${fate}:${text}`, fate);
  }
  const short: readonly Text[] = [null, ...NASTY_TEXTS.filter((text) => text.length < 1000)];
  for (const [i, a] of short.entries()) {
    for (const [j, b] of short.entries()) {
      old.set(`pair ${i} ${j}`, [a, b, null]);
      made.set(`pair ${i} ${j}`, [b, b, i === 0 && j === 1 ? '0' : null]);
    }
  }
  return { columns: ['first', 'second "quoted"', 'number'], old, new: made, pending, tombstone };
}
