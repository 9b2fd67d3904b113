import type { Throttle } from '../../../kernel/throttle.ts';
import { docLength } from '../bson/walk.ts';
import { PieceSize, WHOLE_REPLY } from '../piece-size.ts';
import { commandDoc, type WireConnection, type WireReply } from '../wire/connection.ts';
import { sliceBatch } from '../wire/cursor-batch.ts';

/**
 * The documents of a cursor one after another, as offsets into the reply they
 * came in; the next reply is asked for while this one is looked at. With a
 * throttle that limits, replies are small and asked for one at a time, when
 * their turn has come.
 */
export class DocStream {
  readonly #connection: WireConnection;
  readonly #collection: { db: string; name: string };
  readonly #pace: { throttle: Throttle; piece: PieceSize; signal: AbortSignal } | undefined;
  #reply: WireReply | undefined;
  #pending: (() => Promise<WireReply>) | undefined;
  /** Bytes of the present batch; the present document begins at `start`. */
  buf: Buffer = Buffer.alloc(0);
  start = 0;
  end = 0;
  /** Documents of the present batch not yet passed, this one included. */
  left = 0;

  constructor(
    connection: WireConnection,
    find: Buffer,
    collection: { db: string; name: string },
    pace?: { throttle: Throttle; signal: AbortSignal },
  ) {
    this.#connection = connection;
    this.#collection = collection;
    this.#pace = pace && { ...pace, piece: new PieceSize(pace.throttle) };
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

  /** Moves to the next document of the present batch, which must have one. */
  step(): void {
    this.start = this.end;
    this.left -= 1;
    this.end = this.start + docLength(this.buf, this.start);
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
      const pending = this.#pending;
      if (!pending) return false;
      this.#pending = undefined;
      const reply = await this.#inTurn(pending);
      this.#reply = reply;
      const batch = sliceBatch(reply.body);
      this.#pace?.piece.saw(batch.count, batch.docs.length);
      await this.#pace?.throttle.take(batch.docs.length, this.#pace.signal);
      if (batch.cursorId !== 0n) {
        const documents = this.#pace?.piece.documents() ?? WHOLE_REPLY;
        this.#ask(
          commandDoc({
            getMore: batch.cursorId,
            collection: batch.collection ?? this.#collection.name,
            ...(documents === WHOLE_REPLY ? {} : { batchSize: documents }),
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

  #inTurn(ask: () => Promise<WireReply>): Promise<WireReply> {
    return this.#pace ? this.#pace.throttle.turn(ask) : ask();
  }

  /** Asks at once; under a limit only when the reply is wanted. */
  #ask(command: Buffer): void {
    if (this.#pace?.throttle.isLimited) {
      this.#pending = () => this.#connection.request(command);
      return;
    }
    const reply = this.#connection.request(command);
    reply.catch(() => undefined);
    this.#pending = () => reply;
  }
}
