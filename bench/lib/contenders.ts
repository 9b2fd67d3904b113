/** Who takes part in the comparison of copies. */
import { join } from 'node:path';
import type { Side } from './clusters.ts';
import { GodwitProcess } from './godwit.ts';
import { measure } from './measured-process.ts';
import { readCollection, type Sharing, sendCollection } from './memory-copy.ts';
import { Pcsm } from './pcsm.ts';
import { findPeer, type Peer } from './peers.ts';
import { cell } from './print.ts';

export interface CopyCase {
  readonly source: Side;
  /** Fresh. */
  readonly target: Side;
  readonly db: string;
  readonly collection: string;
  readonly workDir: string;
  /** Tells runs apart. */
  readonly label: string;
}

export interface CopyFigures {
  /** Until documents and indexes are there. */
  readonly seconds: number;
  readonly cpuSeconds: number | undefined;
  readonly peakRssMiB: number | undefined;
  /** Said beside the table. */
  readonly detail?: string;
}

export interface Contender {
  readonly name: 'ceiling' | 'godwit' | 'mongodump' | 'pcsm';
  /** Ways of using the same tool; the best one counts. */
  readonly variant: string;
  readonly needs: readonly Peer[];
  run(copy: CopyCase): Promise<CopyFigures>;
}

const HOURS_MS = 3 * 3_600_000;

function ceiling(variant: string, sharing: Sharing): Contender {
  return {
    name: 'ceiling',
    variant,
    needs: [],
    run: async ({ source, target, db, collection }) => {
      const batches = await readCollection(source.cluster, { db, collection }, true);
      const { copySeconds, indexSeconds } = await sendCollection(target.cluster, { db, collection }, batches, {
        connections: 2,
        sharing,
      });
      const detail = `documents ${cell(copySeconds)} s, indexes ${cell(indexSeconds)} s`;
      return { seconds: copySeconds + indexSeconds, cpuSeconds: undefined, peakRssMiB: undefined, detail };
    },
  };
}

function godwit(flags: readonly string[], nodeFlags: readonly string[]): Contender {
  return {
    name: 'godwit',
    variant: flags.length === 0 ? 'defaults' : flags.join(' '),
    needs: [],
    run: async ({ source, target, db, workDir, label }) => {
      const args = ['run', '--from', source.uri, '--to', target.uri, '--include', db, '--run', label];
      const child = new GodwitProcess([...args, '--state', join(workDir, 'state'), '--until', 'copied', ...flags], {
        nodeFlags,
      });
      const exit = await child.end();
      const copied = child.secondsBetween('copy-planned', 'collection-ready');
      const detail = `by its own events ${cell(copied)} s from plan to last index; the rest is start, check, report and end`;
      return { ...exit, detail };
    },
  };
}

function mongodump(variant: string, restoreFlags: readonly string[]): Contender {
  return {
    name: 'mongodump',
    variant,
    needs: ['mongodump', 'mongorestore'],
    run: async ({ source, target, db }) => {
      const script =
        '"$DUMP" --uri "$FROM" --db "$DB" --archive -j 4 --quiet | ' +
        '"$RESTORE" --uri "$TO" --archive -j 4 --numInsertionWorkersPerCollection=4 --bypassDocumentValidation --quiet "$@"';
      return measure(['sh', '-c', script, 'sh', ...restoreFlags], {
        DUMP: findPeer('mongodump') ?? '',
        RESTORE: findPeer('mongorestore') ?? '',
        FROM: source.uri,
        TO: target.uri,
        DB: db,
      });
    },
  };
}

function pcsm(variant: string, settings: Readonly<Record<string, number>>): Contender {
  return {
    name: 'pcsm',
    variant,
    needs: ['pcsm'],
    run: async ({ source, target, db, collection }) => {
      const server = await Pcsm.open(findPeer('pcsm') ?? '', source.uri, target.uri);
      try {
        const began = performance.now();
        const startCpu = server.process.cpuSeconds;
        await server.command('/start', { ...settings, includeNamespaces: [`${db}.${collection}`] });
        await server.until((status) => status.initialSync?.cloneCompleted === true, HOURS_MS);
        const seconds = (performance.now() - began) / 1000;
        const cpu = server.process.cpuSeconds;
        const cpuSeconds = cpu === undefined || startCpu === undefined ? undefined : cpu - startCpu;
        return { seconds, cpuSeconds, peakRssMiB: server.process.peakRssMiB };
      } finally {
        await server.close();
      }
    },
  };
}

/** All of them; what is missing on this machine is left to the caller to say. */
export function allContenders(options: {
  readonly godwitFlags: readonly string[];
  readonly nodeFlags: readonly string[];
}): Contender[] {
  return [
    ceiling('each connection takes the next 16 MB', 'next'),
    godwit(options.godwitFlags, options.nodeFlags),
    mongodump('write concern majority', []),
    pcsm('2 readers, 4 writers', { cloneNumReadWorkers: 2, cloneNumInsertWorkers: 4, cloneNumParallelCollections: 2 }),
    ceiling('each connection has half the keys', 'parts'),
    mongodump('write concern 1', ['--writeConcern=1']),
    pcsm('defaults', {}),
  ];
}
