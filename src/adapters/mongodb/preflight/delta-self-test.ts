import { randomBytes } from 'node:crypto';
import { serialize } from 'bson';
import { GodwitError } from '../../../kernel/errors.ts';
import type { Finding } from '../../../kernel/finding.ts';
import { fromDriver } from '../errors.ts';
import type { TargetCheck } from './context.ts';

const DATABASE = 'godwit_selftest';

/** One update of each kind that only the server's own stage repeats exactly. */
const BEFORE = { _id: 1, a: 1, list: [1, 2, 3, 4], deep: { x: 1, y: 2 } };
const DIFF = { u: { a: 2 }, i: { 'b.c': 1 }, slist: { a: true, l: 2, u0: 9 }, sdeep: { d: { x: false } } };
const AFTER = { _id: 1, a: 2, list: [9, 2], deep: { y: 2 }, 'b.c': 1 };

/**
 * The log's deltas are repeated by the server's own stage, which is not in its
 * manual: so it is tried on the target, in a scratch collection, before it is
 * relied on.
 */
export const checkDeltaStage: TargetCheck = async ({ target }) => {
  const collection = target.db(DATABASE).collection(`delta_${randomBytes(6).toString('hex')}`);
  try {
    await collection.insertOne({ ...BEFORE, _id: BEFORE._id as never });
    const stage = { $_internalApplyOplogUpdate: { oplogUpdate: { $v: 2, diff: DIFF } } };
    await target.command(DATABASE, { update: collection.collectionName, updates: [{ q: { _id: 1 }, u: [stage] }] });
    const found = await collection.findOne({ _id: 1 as never }, { raw: true });
    const equal = Buffer.from(found as unknown as Uint8Array).equals(serialize(AFTER));
    return equal ? [] : [refusal('it gave another result than the source does')];
  } catch (error) {
    const fault = fromDriver(error, 'trying a delta on the target');
    if (fault.code !== 'GW2004') {
      if (fault.disposition === 'retry') throw fault;
      return [refusal(fault.message)];
    }
    return [
      {
        severity: 'warning',
        check: 'target.delta-stage',
        message: `Whether the target repeats log deltas exactly could not be tried: no privilege on the database ${DATABASE}`,
        remedy: `Allow readWrite on ${DATABASE} for the check; the run itself does not use it`,
      },
    ];
  } finally {
    await collection.drop().catch((error: unknown) => {
      if (error instanceof GodwitError) throw error;
    });
  }
};

function refusal(why: string): Finding {
  return {
    severity: 'error',
    check: 'target.delta-stage',
    message: `The target does not repeat the log's deltas exactly: ${why}`,
    remedy: 'Report it with the version of the target; Godwit has no translation of its own for it yet',
  };
}
