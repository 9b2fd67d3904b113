import {
  AckPolicy,
  type Consumer,
  DiscardPolicy,
  JetStreamApiError,
  type JetStreamManager,
  jetstream,
  jetstreamManager,
  RetentionPolicy,
  StorageType,
} from '@nats-io/jetstream';
import { nanos } from '@nats-io/transport-node';
import { fromNats, STREAM_NAME_IN_USE, STREAM_NOT_FOUND, SUBJECTS_OVERLAP } from './errors.ts';
import type { Link } from './link.ts';

/** One stream for all remodels of an account. */
export const STREAM = 'GODWIT_REMODEL';

/** A message older than this says nothing: whatever it rang for has been rung again by the sweeper. */
const MAX_AGE_MS = 24 * 60 * 60 * 1_000;
/** Messages given and not acknowledged, of all listeners to one remodel together. */
const MAX_UNACKNOWLEDGED = 20_000;
/** What the server says to whoever comes second. */
const MADE_BY_ANOTHER: ReadonlySet<number> = new Set([STREAM_NAME_IN_USE, SUBJECTS_OVERLAP]);

export function subjectOf(remodel: string): string {
  return `godwit.remodel.${remodel}`;
}

/**
 * Sees to it that the stream is there: on disk, holding a message until it is
 * acknowledged. One that is there already is used as it is, whatever replicas or
 * limits its owner gave it.
 */
export async function ensureStream(link: Link): Promise<JetStreamManager> {
  const where = `Looking for the stream ${STREAM}`;
  try {
    const manager = await jetstreamManager(link.connection, { checkAPI: false });
    if (!(await streamExists(manager))) await addStream(manager);
    return manager;
  } catch (error) {
    throw fromNats(error, where);
  }
}

async function streamExists(manager: JetStreamManager): Promise<boolean> {
  try {
    await manager.streams.info(STREAM);
    return true;
  } catch (error) {
    if (error instanceof JetStreamApiError && error.code === STREAM_NOT_FOUND) return false;
    throw error;
  }
}

async function addStream(manager: JetStreamManager): Promise<void> {
  try {
    await manager.streams.add({
      name: STREAM,
      subjects: [subjectOf('*')],
      storage: StorageType.File,
      retention: RetentionPolicy.Workqueue,
      discard: DiscardPolicy.Old,
      max_age: nanos(MAX_AGE_MS),
    });
  } catch (error) {
    // Another process made it a moment ago: of another version it has our name, and while it is
    // made the server may say that its subjects overlap with ours. Then it is there when looked for again.
    if (!(error instanceof JetStreamApiError && MADE_BY_ANOTHER.has(error.code))) throw error;
    if (!(await streamExists(manager))) throw error;
  }
}

/** The durable consumer that all listeners to a remodel share. */
export async function ensureConsumer(link: Link, remodel: string, ackWaitMs: number): Promise<Consumer> {
  const manager = await ensureStream(link);
  const name = `godwit-${remodel}`;
  try {
    await manager.consumers.add(STREAM, {
      durable_name: name,
      filter_subject: subjectOf(remodel),
      ack_policy: AckPolicy.Explicit,
      ack_wait: nanos(ackWaitMs),
      max_deliver: -1,
      max_ack_pending: MAX_UNACKNOWLEDGED,
    });
    return await jetstream(link.connection).consumers.get(STREAM, name);
  } catch (error) {
    throw fromNats(error, `Making the consumer ${name} of the stream ${STREAM}`);
  }
}
