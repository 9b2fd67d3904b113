import {
  type Catalog,
  compareKeys,
  compareStructure,
  MongoVerifier,
  planChunks,
  readCatalog,
  repairDrift,
  snapshotAt,
  type TrackedCollection,
} from '../../adapters/mongodb/index.ts';
import { GodwitError } from '../../kernel/errors.ts';
import { failpoint } from '../../kernel/failpoint.ts';
import type { Chunk, Drift } from '../../kernel/ports.ts';
import type { Position } from '../../kernel/position.ts';
import { withRetry } from '../../kernel/retry.ts';
import { verifyAll } from '../../kernel/verify.ts';
import { explainWrong } from './explaining.ts';
import type { Link } from './link.ts';
import { KEY, type ProofRecord, type RunContext } from './run-context.ts';
import type { Sides } from './sides.ts';

const CHUNK_BYTES = 64 * 1024 * 1024;
const LANES = 2;
/** So often a difference must be met while both sides live. */
const LOOKS = 3;

type TouchedEntry = ReturnType<Link['touched']['take']>[number];

/**
 * Compares everything on both sides while both live.
 * @param only restricts it to some collections, by UUID
 * @param resume goes on with the chunks that a comparison of an earlier process left; `Link.recallProof` must have succeeded
 */
export async function prove(
  run: RunContext,
  link: Link,
  sides: Sides,
  options: { only?: ReadonlySet<string>; resume?: boolean } = {},
): Promise<Drift[]> {
  const { store } = run;
  await link.catchUp(run.signal);
  run.meter.verifyDocs = 0;
  run.meter.verifyBytes = 0;
  if (options.resume) {
    for (const total of store.chunkTotals('verify')) run.meter.verified(total.docsDone, total.bytesDone);
  } else {
    // A partial proof adds to the one before it: what others of its collections saw since still has to be looked at.
    const before = options.only && store.get<ProofRecord>(KEY.proof)?.from;
    if (options.only) link.touched.forget(options.only);
    const from = before ?? link.beginProof();
    const chunks = await withRetry(run.retry(), () => planVerify(run, link, sides, options.only));
    store.commit(() => {
      store.clearChunks('verify');
      store.clearDrift();
      store.set(KEY.detection, undefined);
      store.putChunks('verify', chunks);
      record(run, link, 'running', 0, from);
    });
  }
  const { from, beforeLog, digests } = store.get<ProofRecord>(KEY.proof) as ProofRecord;
  if (beforeLog) await planOverflowed(run, link, sides);
  const verifier = openVerifier(run, link, sides, false);
  try {
    await verifyAll({
      verifier,
      lanes: LANES,
      ledger: {
        pending: () => store.pendingChunks('verify'),
        done: (chunk, docs, bytes) => store.chunkDone('verify', chunk.id, { docs, bytes }),
      },
      retry: run.retry(),
      onProgress: (docs, bytes) => run.meter.verified(docs, bytes),
      onDrift: (drift) => store.putDrift(drift),
      gate: run.gate,
    });
  } finally {
    verifier.close();
  }
  if (beforeLog) {
    store.putDrift(await proveTouched(run, link, sides));
    failpoint('resync.before-verdict');
  }
  store.putDrift(await structureDrift(run, link, sides, false));
  failpoint('verify.before-verdict');
  const drift = store.drift();
  await explainWrong(run, link, drift);
  record(run, link, drift.length === 0 ? 'equal' : 'different', drift.length, from, digests);
  return drift;
}

function record(
  run: RunContext,
  link: Link,
  state: ProofRecord['state'],
  drift: number,
  from: Position,
  digests?: true,
): void {
  const proof: ProofRecord = {
    state,
    at: new Date(run.clock.now()).toISOString(),
    docs: run.meter.verifyDocs,
    bytes: run.meter.verifyBytes,
    drift,
    direction: link.generation.direction,
    generation: link.generation.number,
    from,
    ...(digests ? { digests } : {}),
  };
  run.store.commit(() => {
    run.store.set(KEY.proof, proof);
    if (state !== 'running') run.store.event('verified', { state, drift, docs: proof.docs, bytes: proof.bytes });
  });
}

/** Collections of which the log touched too many keys to name them are compared as a whole. */
async function planOverflowed(run: RunContext, link: Link, sides: Sides): Promise<void> {
  const only = new Set(link.touched.overflowed);
  if (only.size === 0) return;
  link.touched.forget(only);
  const first = run.store.chunkTotals('verify').reduce((sum, total) => sum + total.total, 0);
  const chunks = await withRetry(run.retry(), () => planVerify(run, link, sides, only));
  run.store.putChunks(
    'verify',
    chunks.map((chunk) => ({ ...chunk, id: first + chunk.id })),
  );
}

/** The chunks of a comparison: of all collections, or of some by UUID. */
export async function planVerify(
  run: RunContext,
  link: Link,
  sides: Sides,
  only: ReadonlySet<string> | undefined,
): Promise<Chunk[]> {
  const connection = await sides.from.connectPrimary(run.signal);
  try {
    const catalog = await readCatalog(sides.from, sides.selection, run.signal);
    const chunks: Chunk[] = [];
    for (const spec of catalog.collections) {
      if (only && !only.has(spec.uuid)) continue;
      if (!link.collection(spec.uuid)) continue;
      for (const chunk of await planChunks(sides.from, connection, spec, CHUNK_BYTES))
        chunks.push({ ...chunk, id: chunks.length });
    }
    return chunks;
  } finally {
    connection.close();
  }
}

function openVerifier(run: RunContext, link: Link, sides: Sides, still: boolean): MongoVerifier {
  return new MongoVerifier({
    source: sides.from,
    target: sides.to,
    readFrom: link.generation.direction === 'forward' ? run.readFrom : 'primary',
    moment: () => link.moment(run.signal),
    collection: (uuid) => link.collection(uuid),
    settle: async (signal) => {
      await link.catchUp(signal);
    },
    still: () => still,
  });
}

/**
 * Structure that differs. Live, the target is looked at when exactly what the
 * source's listing holds has been applied; at standstill any time will do.
 */
async function structureDrift(run: RunContext, link: Link, sides: Sides, final: boolean): Promise<Drift[]> {
  const compare = async (catalog: Catalog) => {
    const connection = await sides.to.connectPrimary(run.signal);
    try {
      return await compareStructure(catalog, connection, sides.selection, final);
    } finally {
      connection.close();
    }
  };
  return withRetry(run.retry(), async () => {
    const locate = async () => {
      const catalog = await readCatalog(sides.from, sides.selection, run.signal);
      return { position: catalog.position, value: catalog };
    };
    if (final) return compare((await locate()).value);
    return link.alignedAt(locate, compare, run.signal);
  });
}

/**
 * Proves, while both sides live, the keys that changed since the last proof,
 * so that few are left to look at when everybody waits. Names and collections
 * change under the reads: the source may have dropped by now what it held at
 * the moment. So what differs is looked at again, by a later moment, and only
 * what still differs then counts.
 */
export async function proveTouched(run: RunContext, link: Link, sides: Sides): Promise<Drift[]> {
  let suspects = link.touched.take();
  for (let look = 1; ; look += 1) {
    await link.catchUp(run.signal);
    const found = await withRetry(run.retry(), () => compareTouched(run, link, sides, suspects));
    if (found.size === 0 || look >= LOOKS) return [...found.values()].flat();
    suspects = suspects.filter(([uuid]) => found.has(uuid));
  }
}

/** What differs at the latest moment, by collection. */
async function compareTouched(
  run: RunContext,
  link: Link,
  sides: Sides,
  touched: readonly TouchedEntry[],
): Promise<Map<string, Drift[]>> {
  const moment = await link.moment(run.signal);
  const concerns = { source: snapshotAt(moment.source), target: snapshotAt(moment.target) };
  const from = await sides.from.connectPrimary(run.signal);
  const to = await sides.to.connectPrimary(run.signal);
  try {
    const found = new Map<string, Drift[]>();
    for (const [uuid, keys] of touched) {
      const collection = link.collection(uuid);
      if (!collection || collection.ghost) continue;
      const drift = await compareKeys(from, to, collection, keys, concerns);
      if (drift.length > 0) found.set(uuid, drift);
    }
    return found;
  } finally {
    from.close();
    to.close();
  }
}

/**
 * Proves, at standstill, what changed since the last proof: every key the log
 * touched, every collection whose order counts, and all of the structure.
 */
export async function proveLastChanges(
  run: RunContext,
  link: Link,
  sides: Sides,
): Promise<{ drift: Drift[]; keys: number }> {
  const from = await sides.from.connectPrimary(run.signal);
  const to = await sides.to.connectPrimary(run.signal);
  const drift: Drift[] = [];
  let keys = 0;
  try {
    for (const [uuid, touched] of link.touched.entries()) {
      const collection = link.collection(uuid);
      if (!collection || collection.ghost) continue;
      keys += touched.length;
      drift.push(...(await compareKeys(from, to, collection, touched)));
    }
    drift.push(...(await structureDrift(run, link, sides, true)));
  } finally {
    from.close();
    to.close();
  }
  const verifier = openVerifier(run, link, sides, true);
  try {
    const sequential = link.collections().filter((collection) => collection.capped && !collection.ghost);
    for (const collection of sequential) {
      const chunk: Chunk = { id: 0, unit: collection.uuid, bounds: NATURAL, docs: 0, bytes: 0 };
      drift.push(...(await verifier.verify(chunk, () => undefined, run.signal)).drift);
    }
  } finally {
    verifier.close();
  }
  return { drift, keys };
}

/** `{natural: true}` in BSON. */
const NATURAL = Buffer.from([15, 0, 0, 0, 8, 0x6e, 0x61, 0x74, 0x75, 0x72, 0x61, 0x6c, 0, 1, 0]);

/** Copies again what differs; returns what still does. */
export async function repair(run: RunContext, link: Link, sides: Sides, drift: readonly Drift[]): Promise<Drift[]> {
  const structure = drift.filter((row) => row.kind === 'structure');
  if (structure.length > 0) {
    const first = structure[0] as Drift;
    throw new GodwitError(
      'GW6001',
      `${first.unit} differs in structure (${first.key}: ${first.note ?? ''}); documents can be repaired, this cannot yet`,
      {
        details: { unit: first.unit, key: first.key },
      },
    );
  }
  const byName = new Map<string, TrackedCollection>(
    link.collections().map((collection) => [`${collection.source.db}.${collection.source.name}`, collection]),
  );
  const repaired = await link.whileHeld(() =>
    withRetry(run.retry(), () => repairDrift(sides.from, sides.to, drift, (name) => byName.get(name), run.signal)),
  );
  run.store.event('repaired', { documents: repaired });
  failpoint('verify.repair.after');
  return prove(run, link, sides);
}

/**
 * What an earlier process proved, or began to, in the flow under way. Without
 * the log since then a proof is worth nothing any more: the run goes back to
 * `following`, and a new proof is made.
 */
export async function recallProof(run: RunContext, link: Link): Promise<void> {
  const { store } = run;
  const proof = store.get<ProofRecord>(KEY.proof);
  const usable =
    proof !== undefined &&
    proof.generation === link.generation.number &&
    (proof.state === 'equal' || proof.state === 'running') &&
    (await link.recallProof(proof.from));
  if (usable) return;
  store.commit(() => {
    if (proof?.state === 'running' || proof?.state === 'equal') store.set(KEY.proof, undefined);
    if (store.phase === 'verified') store.enter('following', 'proof-too-old');
  });
}
