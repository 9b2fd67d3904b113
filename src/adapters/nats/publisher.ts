import { type JetStreamClient, jetstream } from '@nats-io/jetstream';
import { throwIfAborted } from '../../kernel/errors.ts';
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
  readonly #address: Address;
  readonly #closed = new AbortController();
  #line: Promise<Line> | undefined;

  constructor(address: Address) {
    this.#address = address;
  }

  async publish(
    remodel: string,
    identities: readonly Identity[],
    taken: (identity: Identity) => void,
    signal: AbortSignal,
  ): Promise<void> {
    const subject = subjectOf(remodel);
    const line = await this.#open();
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

  async close(): Promise<void> {
    this.#closed.abort();
    const line = await this.#line?.catch(() => undefined); // one that was never opened need not be closed
    await line?.link.close();
  }

  #open(): Promise<Line> {
    if (this.#line !== undefined) return this.#line;
    const opening = openLine(this.#address, this.#closed.signal);
    this.#line = opening;
    const forget = () => {
      if (this.#line === opening) this.#line = undefined;
    };
    opening.then((line) => line.link.closed.then(forget), forget);
    return opening;
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
