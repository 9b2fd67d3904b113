import {
  Cluster,
  makeSelection,
  OplogSource,
  oldestOpenTransaction,
  positionAtSecond,
  secondsOf,
} from '../../adapters/mongodb/index.ts';
import { systemClock } from '../../kernel/clock.ts';
import { GodwitError } from '../../kernel/errors.ts';
import { follow } from '../../kernel/follow.ts';
import { laterOf, type Position } from '../../kernel/position.ts';
import { redactUri } from '../../kernel/redact.ts';
import { KeptLog, type KeptLogAbout } from '../../state/index.ts';
import type { SpoolStatus } from './api.ts';
import type { SpoolOptions } from './options.ts';

export interface SpoolHooks {
  readonly signal: AbortSignal;
  readonly onStatus: (status: SpoolStatus) => void;
}

/** What went wrong last, and where the log ended then. */
interface Fault {
  readonly code: string;
  readonly message: string;
  readonly end: Position;
}

const STATUS_MS = 1_000;
const SYNC_EVERY_MS = 500;
const TRIM_EVERY_MS = 5_000;
const SEGMENT_BYTES = 64 * 1024 * 1024;
const LEAST_SEGMENT_BYTES = 1024 * 1024;
/** So many segments make up what is to be kept: only whole ones are let go of. */
const SEGMENTS_KEPT = 20;
const LONGEST_SEGMENT_MS = 60 * 60 * 1000;

/**
 * Keeps the source's log in a folder until the signal is set; goes on with what
 * is there. Throws GW4006 when the source has forgotten what comes next.
 */
export async function spool(options: SpoolOptions, hooks: SpoolHooks): Promise<SpoolStatus> {
  const source = await Cluster.connect('source', options.from);
  try {
    const kept = await KeptLog.open(options.spool, segmentsOf(options), () => describe(options, source));
    try {
      await assertSame(kept.about, options, source);
      return await keep(kept, options, source, hooks);
    } finally {
      await kept.close();
    }
  } finally {
    await source.close();
  }
}

async function keep(kept: KeptLog, options: SpoolOptions, source: Cluster, hooks: SpoolHooks): Promise<SpoolStatus> {
  const over = new AbortController();
  const signal = AbortSignal.any([hooks.signal, over.signal]);
  let fault: Fault | undefined;
  // What comes after a fault shows that it has passed.
  const status = () => statusOf(kept, options.spool, fault?.end === kept.spool.end ? fault : undefined);
  const readFrom = options.readFrom ?? ((await source.members()).hosts.length > 1 ? 'secondary' : 'primary');
  const selection = makeSelection(options.include, options.exclude, []);
  let failure: unknown;
  const beside = Promise.all([
    every(STATUS_MS, signal, async () => hooks.onStatus(status())),
    every(TRIM_EVERY_MS, signal, () => letGo(kept, options)),
  ]).catch((error) => {
    failure = error;
    over.abort();
  });
  try {
    await follow({
      source: new OplogSource({ cluster: source, selection, readFrom }),
      log: kept.spool,
      start: kept.about.start,
      retry: {
        clock: systemClock,
        signal,
        deadlineMs: options.retryForSeconds * 1000,
        onRetry: ({ code, message }) => {
          fault = { code, message, end: kept.spool.end };
        },
      },
      syncEveryMs: SYNC_EVERY_MS,
    });
  } catch (error) {
    if (!signal.aborted) throw asGap(error, kept, options.spool);
  } finally {
    over.abort();
    await beside;
  }
  if (failure !== undefined) throw failure;
  await letGo(kept, options);
  await kept.spool.sync();
  return status();
}

/** Where the log begins: before the oldest transaction that is open now, so that a copy made from now on has all it needs. */
async function describe(options: SpoolOptions, source: Cluster): Promise<KeptLogAbout> {
  const position = await source.note({ spool: 'start' });
  return {
    version: 1,
    sourceId: await source.identity(),
    source: redactUri(options.from),
    include: options.include,
    exclude: options.exclude,
    start: await oldestOpenTransaction(source, position),
    startedAt: new Date().toISOString(),
  };
}

async function assertSame(about: KeptLogAbout, options: SpoolOptions, source: Cluster): Promise<void> {
  const same = (a: readonly string[], b: readonly string[]) =>
    JSON.stringify([...a].sort()) === JSON.stringify([...b].sort());
  const wrong: string[] = [];
  if ((await source.identity()) !== about.sourceId) wrong.push(`--from was ${about.source}`);
  for (const key of ['include', 'exclude'] as const)
    if (!same(options[key], about[key])) wrong.push(`--${key} was ${about[key].join(', ') || 'not given'}`);
  if (wrong.length === 0) return;
  throw new GodwitError(
    'GW1003',
    `The log in ${options.spool} was begun differently (${wrong.join('; ')}); another one needs another folder`,
    {
      details: { dir: options.spool },
    },
  );
}

function asGap(error: unknown, kept: KeptLog, dir: string): unknown {
  if (!(error instanceof GodwitError) || error.code !== 'GW4001') return error;
  const end = timeOf(secondsOf(laterOf(kept.spool.end, kept.about.start)));
  return new GodwitError('GW4006', `The log in ${dir} ends at ${end}, and the source's begins later`, {
    details: { ...error.details, dir, end },
    cause: error,
  });
}

async function letGo(kept: KeptLog, { spoolKeepSeconds, spoolKeepGb }: SpoolOptions): Promise<void> {
  if (spoolKeepSeconds !== undefined)
    await kept.spool.trim(positionAtSecond(systemClock.now() / 1000 - spoolKeepSeconds));
  if (spoolKeepGb !== undefined) await kept.spool.trimToBytes(spoolKeepGb * 1e9);
}

/** Small enough that little more is kept than asked for. */
function segmentsOf({ spoolKeepSeconds, spoolKeepGb }: SpoolOptions): { segmentBytes: number; segmentMs: number } {
  const share = spoolKeepGb === undefined ? SEGMENT_BYTES : (spoolKeepGb * 1e9) / SEGMENTS_KEPT;
  const time = spoolKeepSeconds === undefined ? LONGEST_SEGMENT_MS : (spoolKeepSeconds * 1000) / SEGMENTS_KEPT;
  return {
    segmentBytes: Math.max(LEAST_SEGMENT_BYTES, Math.min(SEGMENT_BYTES, share)),
    segmentMs: Math.min(LONGEST_SEGMENT_MS, time),
  };
}

function statusOf(kept: KeptLog, folder: string, fault: Fault | undefined): SpoolStatus {
  const { spool: log, about } = kept;
  const end = laterOf(log.end, about.start);
  return {
    version: 1,
    folder,
    after: timeOf(secondsOf(laterOf(log.begin, about.start))),
    upTo: timeOf(secondsOf(end)),
    bytes: log.sizeBytes,
    lagSeconds: log.end === '' ? null : Math.max(0, Math.round(systemClock.now() / 1000 - secondsOf(end))),
    fault: fault ? { code: fault.code, message: fault.message } : null,
  };
}

function timeOf(seconds: number): string {
  return new Date(seconds * 1000).toISOString();
}

async function every(ms: number, signal: AbortSignal, work: () => Promise<void>): Promise<void> {
  while (!signal.aborted) {
    await work();
    await systemClock.sleep(ms, signal);
  }
}
