import { docLength } from '../bson/walk.ts';
import { commandDoc, type WireConnection, type WireReply } from '../wire/connection.ts';
import { sliceBatch } from '../wire/cursor-batch.ts';

/**
 * The documents of a cursor one after another, as offsets into the reply they
 * came in; the next reply is asked for while this one is looked at.
 */
export class DocStream {
  readonly #connection: WireConnection;
  readonly #collection: { db: string; name: string };
  #reply: WireReply | undefined;
  #pending: Promise<WireReply> | undefined;
  /** Bytes of the present batch; the present document begins at `start`. */
  buf: Buffer = Buffer.alloc(0);
  start = 0;
  end = 0;
  /** Documents of the present batch not yet passed, this one included. */
  left = 0;

  constructor(connection: WireConnection, find: Buffer, collection: { db: string; name: string }) {
    this.#connection = connection;
    this.#collection = collection;
    this.#ask(find);
  }

  /** Moves to the first document, or to the next one; false at the end. */
  async next(): Promise<boolean> {
    this.start = this.end;
    if (this.left > 0) this.left -= 1;
    if (this.left > 0) {
      this.end = this.start + docLength(this.buf, this.start);
      return true;
    }
    return this.#nextBatch();
  }

  /** Passes over the rest of the batch and moves on. */
  skipBatch(): Promise<boolean> {
    return this.#nextBatch();
  }

  release(): void {
    this.#reply?.release();
    this.#reply = undefined;
  }

  async #nextBatch(): Promise<boolean> {
    for (;;) {
      this.release();
      this.left = 0;
      if (!this.#pending) return false;
      const reply = await this.#pending;
      this.#pending = undefined;
      this.#reply = reply;
      const batch = sliceBatch(reply.body);
      if (batch.cursorId !== 0n) {
        this.#ask(
          commandDoc({
            getMore: batch.cursorId,
            collection: batch.collection ?? this.#collection.name,
            $db: this.#collection.db,
          }),
        );
      }
      if (batch.count === 0) continue;
      this.buf = batch.docs;
      this.start = 0;
      this.end = docLength(this.buf, 0);
      this.left = batch.count;
      return true;
    }
  }

  #ask(command: Buffer): void {
    this.#pending = this.#connection.request(command);
    this.#pending.catch(() => undefined);
  }
}
