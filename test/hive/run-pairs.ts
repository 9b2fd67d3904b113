/** Pairs merged, written, read again and judged: by the oracle, and by two readers that are not ours. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mergeSystem, readHive, sameTree, writeHive } from '../../src/adapters/windows-registry/index.ts';
import type { Hive } from '../../src/adapters/windows-registry/tree.ts';
import { Rng } from '../torture/rng.ts';
import { digestOf, hivexDigests } from './hivex-judge.ts';
import { wrongWith } from './merge-oracle.ts';
import { randomPair } from './random-system.ts';
import { reglookupDiffers } from './reglookup-judge.ts';

/** So many hives are read by one process of hivex. */
const BATCH = 200;

export interface PairsResult {
  readonly pairs: number;
  /** What went wrong, with the seed that repeats it. */
  readonly wrong: readonly string[];
}

export interface PairsOptions {
  /** reglookup takes a process for each hive: it may be asked about every so many only. */
  readonly reglookupEvery?: number;
  readonly onBatch?: (done: number) => void;
}

export async function runPairs(firstSeed: number, count: number, options: PairsOptions = {}): Promise<PairsResult> {
  const wrong: string[] = [];
  const dir = mkdtempSync(join(tmpdir(), 'godwit-pairs-'));
  try {
    for (let from = 0; from < count; from += BATCH) {
      const seeds = Array.from({ length: Math.min(BATCH, count - from) }, (_, index) => firstSeed + from + index);
      const merged = seeds.map((seed) => ({ seed, file: join(dir, `${seed}`), ...mergePair(seed, wrong) }));
      for (const { file, bytes } of merged) writeFileSync(file, bytes);
      wrong.push(...(await judge(merged, options.reglookupEvery)));
      for (const { file } of merged) rmSync(file);
      options.onBatch?.(from + seeds.length);
    }
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
  return { pairs: count, wrong };
}

function mergePair(seed: number, wrong: string[]): { readonly bytes: Buffer; readonly read: Hive } {
  const pair = randomPair(new Rng(seed));
  // As in life: what is merged was read from files.
  const [source, target] = [pair.source, pair.target].map((hive) => readHive(writeHive(hive)));
  const before = digestOf(source!.root);
  const { hive } = mergeSystem(
    { hive: source! },
    { hive: target! },
    { isSameWindows: true, fileExists: (path) => pair.files.has(path.split('\\').at(-1)!.toUpperCase()) },
  );
  if (digestOf(source!.root) !== before) wrong.push(`seed ${seed}: the merge changed its source`);
  const bytes = writeHive(hive);
  const read = readHive(bytes);
  const difference = sameTree(hive.root, read.root);
  if (difference !== undefined) wrong.push(`seed ${seed}: read back otherwise at ${difference}`);
  for (const what of wrongWith(read.root, pair)) wrong.push(`seed ${seed}: ${what}`);
  return { bytes, read };
}

interface Judged {
  readonly seed: number;
  readonly file: string;
  readonly read: Hive;
}

/** Both judges on the files: what they read that we do not. */
export async function judge(all: readonly Judged[], reglookupEvery = 1): Promise<readonly string[]> {
  const wrong: string[] = [];
  const digests = await hivexDigests(all.map(({ file }) => file));
  all.forEach(({ seed, read }, index) => {
    if (digests[index] !== digestOf(read.root))
      wrong.push(`seed ${seed}: hivex reads it otherwise (${digests[index]})`);
  });
  for (const { seed, file, read } of all.filter((_, index) => index % reglookupEvery === 0)) {
    const difference = await reglookupDiffers(file, read);
    if (difference !== undefined) wrong.push(`seed ${seed}: reglookup reads it otherwise: ${difference}`);
  }
  return wrong;
}
