/** What waits while changes flow (uniqueness, expiry, views), and the end of the waiting on the side that is to serve. */
import {
  type Catalog,
  type CollectionSpec,
  deferExpiry,
  expires,
  finishIndexes,
  makeViews,
  reviveExpiry,
  type WireConnection,
} from '../../adapters/mongodb/index.ts';
import { GodwitError } from '../../kernel/errors.ts';
import { withRetry } from '../../kernel/retry.ts';
import type { RunContext } from './run-context.ts';
import type { Sides } from './sides.ts';

/** Collections whose indexes are finished at once. */
const LANES = 4;

/** Makes indexes and views at the end of a flow what they are at its beginning, all but their expiry. Idempotent. */
export async function finishAll(run: RunContext, sides: Sides, catalog: Catalog, signal: AbortSignal): Promise<void> {
  const dealt = Array.from({ length: LANES }, (_, lane) =>
    catalog.collections.filter((_spec, i) => i % LANES === lane),
  );
  const finishSome = (some: readonly CollectionSpec[]) =>
    atEnd(run, sides, signal, async (connection) => {
      for (const spec of some) await finishIndexes(connection, sides.selection.target(spec.db, spec.name), spec);
    });
  await Promise.all(dealt.filter((some) => some.length > 0).map(finishSome));
  await atEnd(run, sides, signal, (connection) => finishViews(connection, sides, catalog));
}

async function finishViews(connection: WireConnection, { selection }: Sides, catalog: Catalog): Promise<void> {
  for (const db of new Set([...catalog.collections, ...catalog.views].map((spec) => spec.db))) {
    const views = catalog.views.filter((view) => view.db === db);
    const refused = await makeViews(connection, selection, db, views);
    if (refused.length > 0)
      throw new GodwitError('GW5002', `The server refuses the views ${refused.join(', ')} of ${db}`, {
        details: { db, views: refused },
      });
  }
}

/** Lets the end of a flow expire what its beginning expires, from now on. Idempotent. */
export async function reviveAll(
  run: RunContext,
  sides: Sides,
  specs: readonly CollectionSpec[],
  signal: AbortSignal,
): Promise<void> {
  const expiring = specs.filter(expires);
  if (expiring.length === 0) return;
  await atEnd(run, sides, signal, async (connection) => {
    for (const spec of expiring) await reviveExpiry(connection, sides.selection.target(spec.db, spec.name), spec);
  });
}

/** Lets the target expire nothing by itself any more: the source's log goes on deciding that. Idempotent. */
export async function deferAll(run: RunContext, signal: AbortSignal): Promise<void> {
  const connection = await run.target.connectPrimary(signal);
  const { link } = run;
  try {
    for (const { target } of link?.collections() ?? []) await deferExpiry(connection, target);
  } finally {
    connection.close();
  }
}

async function atEnd(
  run: RunContext,
  sides: Sides,
  signal: AbortSignal,
  work: (connection: WireConnection) => Promise<void>,
): Promise<void> {
  await withRetry(run.retry(signal), async () => {
    const connection = await sides.to.connectPrimary(signal);
    const stop = () => connection.close();
    signal.addEventListener('abort', stop, { once: true });
    try {
      await work(connection);
    } finally {
      signal.removeEventListener('abort', stop);
      connection.close();
    }
  });
}
