import type { Document } from 'mongodb';
import { GodwitError } from '../../../kernel/errors.ts';
import type { Model } from '../../../kernel/remodel/index.ts';
import { serverCodeOf } from '../errors.ts';
import { controls, findControl } from './control.ts';
import { notCreated } from './identity-view.ts';
import type { Room } from './relay.ts';
import { storeError } from './transactions.ts';

const UNAUTHORIZED = 13;

/**
 * Whether a transaction still runs that may have read the control record as it
 * was before its present epoch. The first look after a change notes a time that
 * is surely after the change was committed; transactions begun before it count.
 *
 * Looking at other users' transactions needs the privilege `inprog` on the
 * cluster (role `clusterMonitor`). Without it the answer is yes until
 * `transactionLifetimeLimitSeconds` have passed, after which the server has
 * ended every older transaction; reading that parameter needs `getParameter`
 * (the same role). @throws GodwitError GW2004 when neither is granted.
 */
export async function hasOlder(room: Room, model: Model): Promise<boolean> {
  const since = await knownSince(room, model);
  const admin = room.client.db('admin');
  const open = [
    { $currentOp: { allUsers: true, idleSessions: true } },
    { $match: { 'transaction.parameters.autocommit': false } },
    { $project: { start: '$transaction.startWallClockTime' } },
  ];
  try {
    const found = await admin.aggregate<{ start?: string }>(open).toArray();
    return found.some(({ start }) => start === undefined || !(Date.parse(start) > since.at.getTime()));
  } catch (error) {
    if (serverCodeOf(error) !== UNAUTHORIZED) throw storeError(error, 'looking for older transactions');
    return since.ageMs <= (await transactionLifetimeMs(room)) + SWEEP_MS;
  }
}

/** The server looks for transactions that have lived too long about twice in their lifetime, at least each minute. */
const SWEEP_MS = 60_000;

async function transactionLifetimeMs({ client }: Room): Promise<number> {
  const command: Document = { getParameter: 1, transactionLifetimeLimitSeconds: 1 };
  try {
    return Number((await client.db('admin').command(command))['transactionLifetimeLimitSeconds']) * 1000;
  } catch (error) {
    if (serverCodeOf(error) !== UNAUTHORIZED) throw storeError(error, 'reading transactionLifetimeLimitSeconds');
    throw new GodwitError(
      'GW2004',
      'Whether older transactions still run cannot be seen: grant the role clusterMonitor (inprog, or at least getParameter)',
    );
  }
}

async function knownSince({ db }: Room, model: Model): Promise<{ at: Date; ageMs: number }> {
  const control = await findControl(db, model);
  if (control === undefined) throw notCreated(model.name);
  try {
    if (control.known?.epoch !== control.epoch) {
      const known = { known: { epoch: '$epoch', at: '$$NOW' } };
      const unknown = { $expr: { $ne: ['$known.epoch', '$epoch'] } };
      await controls(db).updateOne({ _id: model.name, ...unknown }, [{ $set: known }]);
    }
    const age = { $project: { at: '$known.at', ageMs: { $subtract: ['$$NOW', '$known.at'] } } };
    const [found] = await controls(db)
      .aggregate<{ at: Date; ageMs: number }>([{ $match: { _id: model.name } }, age])
      .toArray();
    if (found === undefined) throw notCreated(model.name);
    return { at: found.at, ageMs: Number(found.ageMs) };
  } catch (error) {
    throw storeError(error, `reading the control record of ${model.name}`);
  }
}
