/** One pass of the backfill: the list of what is missing, handed out in chunks to lanes that adopt. */
import { GodwitError, throwIfAborted } from '../../../kernel/errors.ts';
import { bucketOf, type Identity } from '../../../kernel/remodel/index.ts';
import { withRetry } from '../../../kernel/retry.ts';
import { type Throttle, throttleOf } from '../../../kernel/throttle.ts';
import type { RemodelArgs } from '../api.ts';
import { measure } from './facts.ts';
import { look } from './gates.ts';
import { complaints, probe } from './guardrails.ts';
import { refuseClosed } from './move.ts';
import { missingOffline } from './offline.ts';
import type { Tools } from './tools.ts';

export interface Pass {
  readonly listed: number;
  readonly adopted: number;
  readonly quarantined: number;
}

const RETRY_FOR_MS = 120_000;
/** Shape and guard are looked at this often while it copies. */
const LOOK_EVERY_MS = 2_000;

/** Part `index` of `count`: by a hash of the identity, so that processes never agree on anything. */
function isOurs(remodel: string, identity: Identity, part: RemodelArgs['part']): boolean {
  return part === undefined || bucketOf(remodel, identity) % part.count === part.index - 1;
}

/** `mayGoOn` is asked before each chunk, and throws when it must not be. */
export async function copyMissing(
  tools: Tools,
  part: RemodelArgs['part'],
  mayGoOn: () => Promise<void>,
): Promise<Pass> {
  const { admin, store, model, options, clock, signal } = tools;
  const stop = new AbortController();
  const either = AbortSignal.any([signal, stop.signal]);
  const throttle = throttleOf(options.maxRate, clock);
  const sum = { listed: 0, adopted: 0, quarantined: 0 };
  const list =
    options.engine === 'live'
      ? admin.missing(model, options.chunk, either)
      : missingOffline(tools, options.chunk, either);
  const source = chunksOf(list, options.chunk, (identity) => isOurs(model.name, identity, part));
  const watching = watch(tools, throttle, sum, either);
  const lane = async (): Promise<void> => {
    for (;;) {
      throwIfAborted(either);
      const chunk = await source.next();
      if (chunk === undefined) return;
      sum.listed += chunk.length;
      await throttle.take(chunk.length, either);
      const policy = { clock, signal: either, deadlineMs: RETRY_FOR_MS };
      const done = await withRetry(policy, async () => {
        await mayGoOn();
        return store.adopt(model, chunk);
      });
      sum.adopted += done.adopted;
      sum.quarantined += done.quarantined;
    }
  };
  const lanes = Promise.all(Array.from({ length: options.lanes }, lane));
  try {
    // The watch never ends by itself: it fails when the tables change their shape or the guard is gone.
    await Promise.race([lanes, watching]);
  } finally {
    stop.abort(new GodwitError('GW8001', 'The pass is over'));
    await Promise.allSettled([lanes, watching]);
    await source.close();
  }
  return sum;
}

/** A list handed out to several lanes in turn. */
function chunksOf(
  list: AsyncIterable<readonly Identity[]>,
  size: number,
  keep: (identity: Identity) => boolean,
): { next(): Promise<readonly Identity[] | undefined>; close(): Promise<void> } {
  const iterator = list[Symbol.asyncIterator]();
  let turn: Promise<unknown> = Promise.resolve();
  let held: Identity[] = [];
  const take = async (): Promise<readonly Identity[] | undefined> => {
    while (held.length < size) {
      const { value, done } = await iterator.next();
      if (done) break;
      for (const identity of value as readonly Identity[]) if (keep(identity)) held.push(identity);
    }
    if (held.length === 0) return undefined;
    const chunk = held.slice(0, size);
    held = held.slice(size);
    return chunk;
  };
  return {
    next: () => {
      const mine = turn.then(take);
      turn = mine.catch(() => undefined);
      return mine;
    },
    close: async () => {
      await turn;
      await iterator.return?.();
    },
  };
}

/** Tells how far it is, slows it down by what it does to others, and fails when it must not go on. */
async function watch(tools: Tools, throttle: Throttle, sum: { readonly adopted: number }, signal: AbortSignal) {
  const { clock, options, store, model, say } = tools;
  const { oldRows, owned, tombstones } = await store.backlog(model);
  const toDo = Math.max(0, oldRows - owned - tombstones);
  let baseline: number | undefined;
  let rate = options.maxRate ?? Number.POSITIVE_INFINITY;
  let [before, beforeAt] = [0, clock.now()];
  for (;;) {
    const began = clock.now();
    const facts = await measure(tools, ['control', 'definition', 'leases', 'drift', 'guardWorks']);
    refuseClosed(tools, 'a further chunk', look('backfilling', facts, tools.settings));
    const seconds = Math.max(0.001, (clock.now() - beforeAt) / 1_000);
    const perSecond = Math.round((sum.adopted - before) / seconds);
    if (options.throttle === 'auto') {
      const rails = await probe(tools);
      baseline ??= rails.writeP50Ms;
      const limits = { latencyLimit: options.latencyLimit, lagLimitMs: options.lagLimitSeconds * 1_000 };
      const wrong = complaints({ ...rails, quarantined: 0 }, baseline, limits);
      rate = nextRate(rate, perSecond, wrong.length > 0, options.maxRate);
      throttle.limit(rate, wrong.join('; ') || '--max-rate');
    }
    if (sum.adopted > before) sayProgress(perSecond);
    [before, beforeAt] = [sum.adopted, clock.now()];
    // Looking counts rows: on a large table it must not become the load.
    await clock.sleep(Math.max(LOOK_EVERY_MS, 20 * (clock.now() - began)), signal);
    throwIfAborted(signal);
  }

  function sayProgress(perSecond: number): void {
    const left = Math.max(0, toDo - sum.adopted);
    const secondsLeft = perSecond === 0 ? null : Math.round(left / perSecond);
    say('backfill', progressLine(sum.adopted, perSecond, left, throttle.reason), {
      adopted: sum.adopted,
      perSecond,
      left,
      secondsLeft,
      throttled: throttle.reason ?? null,
    });
  }
}

/** Halves what really went when it hurts, doubles otherwise. Pure. */
export function nextRate(rate: number, measured: number, hurts: boolean, most = Number.POSITIVE_INFINITY): number {
  if (hurts) return Math.max(50, Math.min(rate, Math.max(measured, 100)) / 2);
  if (!Number.isFinite(rate)) return most;
  // Back to no limit of our own once the limit is far above what really goes.
  return rate > 4 * Math.max(measured, 1_000) ? most : Math.min(most, rate * 2);
}

function progressLine(adopted: number, perSecond: number, left: number, reason: string | undefined): string {
  const time = perSecond === 0 ? '' : `, about ${Math.ceil(left / perSecond)} s left`;
  return `${adopted} adopted, ${perSecond}/s, ${left} to go${time}${reason === undefined ? '' : `; slowed down: ${reason}`}`;
}
