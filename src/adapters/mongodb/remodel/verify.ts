import { GodwitError } from '../../../kernel/errors.ts';
import type { CompareOptions, Mismatch, Model, Row, VerifyResult } from '../../../kernel/remodel/index.ts';
import { documentsOf, type ModelDocuments } from './documents.ts';
import { forgive, lostSince } from './guard.ts';
import { stateOf } from './identity-view.ts';
import type { Room } from './relay.ts';
import { type Scanned, scan } from './scan.ts';
import { downOf } from './transforms.ts';

export interface VerifyOptions extends CompareOptions {
  /** See `ScanOptions.snapshotMs`. */
  readonly snapshotMs?: number;
}

const MOST_EXAMPLES = 20;

/** See `RemodelStore.verify`. */
export async function verifyAll(room: Room, model: Model, options: VerifyOptions): Promise<VerifyResult> {
  const started = performance.now();
  const documents = documentsOf(model);
  const snapshots: string[] = [];
  const counts = { identities: 0, pending: 0, missing: 0, extra: 0, resurrected: 0, different: 0 };
  const examples: Mismatch[] = [];
  const lost = options.byValue ? await lostSince(room, model) : undefined;
  const scanOptions = { ...options, onSnapshot: (name: string) => void snapshots.push(name) };
  for await (const batch of scan(room, documents, scanOptions)) {
    for (const scanned of batch) {
      counts.identities += 1;
      if (scanned.isPending) counts.pending += 1;
      if (scanned.isPending || scanned.isQuarantined) continue;
      const found = mismatchOf(documents, scanned, options.byValue);
      if (found === undefined) continue;
      counts[found.kind] += 1;
      if (examples.length < MOST_EXAMPLES) examples.push(found);
    }
  }
  const { resurrected, extra, ...rest } = counts;
  const isClean = resurrected + extra + rest.missing + rest.different === 0;
  if (lost !== undefined && isClean) await forgive(room, model, lost);
  const durationMs = performance.now() - started;
  return { ...rest, extra: extra + resurrected, examples, snapshot: snapshots.join(', '), durationMs };
}

/** Undefined when both models say the same of an identity. */
function mismatchOf(documents: ModelDocuments, scanned: Scanned, byValue: boolean): Mismatch | undefined {
  const { identity, old, isBuried } = scanned;
  const isOwned = (scanned.new[documents.model.root]?.length ?? 0) > 0;
  if (old === undefined) return { identity, kind: 'extra', columns: [] };
  if (!isOwned) return { identity, kind: isBuried ? 'resurrected' : 'missing', columns: [] };
  if (!byValue) return undefined;
  const columns = differing(documents, old, scanned);
  return columns === undefined ? undefined : { identity, kind: 'different', columns };
}

function differing(documents: ModelDocuments, old: Buffer, scanned: Scanned): readonly string[] | undefined {
  const unreadable = documents.old.unreadable(old);
  if (unreadable.length > 0) return unreadable;
  let wanted: Row;
  try {
    wanted = downOf(documents.model, stateOf(documents, { documents: scanned.new }));
  } catch (error) {
    // New rows that cannot be read, or that the old model cannot hold: not what the old table says.
    if (error instanceof GodwitError && error.code.startsWith('GW5')) return [];
    throw error;
  }
  const columns = documents.old.differing(documents.old.decode(old), wanted);
  return columns.length === 0 ? undefined : columns;
}
