import { type JetStreamClient, jetstream } from '@nats-io/jetstream';
import { throwIfAborted } from '../../kernel/errors.ts';
import { OnDemand } from '../../kernel/on-demand.ts';
import { encodeRing } from '../../kernel/remodel/ring-message.ts';
import type { Identity } from '../../kernel/remodel/store.ts';
import { fromNats } from './errors.ts';
import { type Address, type Link, openLink } from './link.ts';
import { ensureStream, STREAM, subjectOf } from './stream.ts';

/** Messages sent before their acknowledgements are waited for. */
const SLICE = 500;
const ACK_TIMEOUT_MS = 10_000;

/** One connection, opened when first needed and again when it was lost. */
export class Publisher {
  readonly #line: OnDemand<Line>;

  constructor(address: Address) {
    this.#line = new OnDemand({
      open: (signal) => openLine(address, signal),
      lost: ({ link }) => link.closed,
      close: ({ link }) => link.close(),
    });
  }

  async publish(
    remodel: string,
    identities: readonly Identity[],
    taken: (identity: Identity) => void,
    signal: AbortSignal,
  ): Promise<void> {
    const subject = subjectOf(remodel);
    const line = await this.#line.get();
    try {
      for (let from = 0; from < identities.length; from += SLICE) {
        throwIfAborted(signal);
        const slice = identities.slice(from, from + SLICE);
        await Promise.all(slice.map((identity) => send(line.client, subject, identity).then(() => taken(identity))));
      }
    } catch (error) {
      // The next attempt begins with a new connection, and looks for the stream again: somebody may have deleted it.
      void line.link.close();
      throw error;
    }
  }

  close(): Promise<void> {
    return this.#line.close();
  }
}

interface Line {
  readonly link: Link;
  readonly client: JetStreamClient;
}

async function openLine(address: Address, signal: AbortSignal): Promise<Line> {
  const link = await openLink(address, 'ring', signal);
  try {
    await ensureStream(link);
    return { link, client: jetstream(link.connection) };
  } catch (error) {
    await link.close();
    throw error;
  }
}

/**
 * Resolves when the stream has stored the message. No `Nats-Msg-Id`: with the
 * identity in it, a second ring within the stream's window would be taken for a
 * double and thrown away, and a double costs next to nothing.
 */
async function send(client: JetStreamClient, subject: string, identity: Identity): Promise<void> {
  try {
    await client.publish(subject, encodeRing(identity), {
      timeout: ACK_TIMEOUT_MS,
      expect: { streamName: STREAM },
    });
  } catch (error) {
    throw fromNats(error, `Ringing on subject ${subject}`);
  }
}
