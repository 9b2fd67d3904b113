import { Binary, type ChangeStreamDocument, type Document } from 'mongodb';
import type { Identity } from '../../../kernel/remodel/index.ts';
import type { ModelDocuments } from './documents.ts';
import { CONTROL, identityOfId, retiredName } from './names.ts';

/** Sorts the events of the guard's change stream: heartbeats, our own writes, and everybody else's. */
export class GuardEvents {
  readonly #documents: ModelDocuments;
  #dirty = new Set<Identity>();
  #isLost = false;
  /** Identities whose old document the transaction at hand writes for the library. */
  #ours = new Set<Identity>();
  #transaction = '';
  #lastBeat = 0;

  constructor(documents: ModelDocuments) {
    this.#documents = documents;
  }

  get lastBeat(): number {
    return this.#lastBeat;
  }

  /** Whether the last event taken was none of a transaction. */
  get isBetween(): boolean {
    return this.#transaction === '';
  }

  /** A stream begins, at a place before which the heartbeats up to `beat` lie. */
  begin(beat: number): void {
    this.drain();
    this.#transaction = '';
    this.#ours.clear();
    this.#lastBeat = beat;
  }

  /** What was found since the last call. */
  drain(): { readonly dirty: readonly Identity[]; readonly isLost: boolean } {
    const found = { dirty: [...this.#dirty], isLost: this.#isLost };
    this.#dirty = new Set();
    this.#isLost = false;
    return found;
  }

  take(event: ChangeStreamDocument): void {
    this.#enter(transactionOf(event));
    switch (event.operationType) {
      case 'insert':
      case 'update':
      case 'replace':
      case 'delete':
        this.#takeWrite(event);
        break;
      case 'rename':
        // `trap` and its way back rename the old collection; anything else takes it away from us.
        if (!this.#isOurRename(event.ns.coll, event.to.coll)) this.#isLost = true;
        break;
      case 'drop':
      case 'dropDatabase':
      case 'invalidate':
        this.#isLost = true;
        break;
      default:
    }
  }

  #enter(transaction: string): void {
    if (transaction === this.#transaction) return;
    this.#transaction = transaction;
    this.#ours.clear();
  }

  #takeWrite(event: ChangeStreamDocument & { readonly documentKey: Document }): void {
    const { ns, documentKey, updateDescription } = event as unknown as {
      readonly ns: { readonly coll: string };
      readonly documentKey: Document;
      readonly updateDescription?: { readonly updatedFields?: Document };
    };
    if (ns.coll === CONTROL.guard) {
      this.#lastBeat = Math.max(this.#lastBeat, Number(updateDescription?.updatedFields?.['beat'] ?? 0));
      return;
    }
    if (ns.coll === CONTROL.outbox) {
      this.#ours.add(identityOfId(this.#documents.model, String(documentKey['_id'])));
      return;
    }
    for (const identity of this.#identitiesOf(event)) {
      if (this.#transaction === '' || !this.#ours.has(identity)) this.#dirty.add(identity);
    }
  }

  /** Two where the key itself was changed. */
  #identitiesOf(event: ChangeStreamDocument & { readonly documentKey: Document }): readonly Identity[] {
    const { old } = this.#documents;
    if (old.keyPath === '_id') return [keyText(event.documentKey['_id'])];
    const images = event as { readonly fullDocument?: Document; readonly fullDocumentBeforeChange?: Document };
    const found = [images.fullDocumentBeforeChange, images.fullDocument]
      .filter((image) => image !== undefined && image !== null)
      .map((image) => keyText(at(image, old.keyPath)));
    if (found.length === 0) this.#isLost = true;
    return [...new Set(found)];
  }

  #isOurRename(from: string, to: string): boolean {
    const { name } = this.#documents.old;
    return (from === name && to === retiredName(name)) || (from === retiredName(name) && to === name);
  }
}

function transactionOf(event: ChangeStreamDocument): string {
  const { lsid, txnNumber } = event as { readonly lsid?: Document; readonly txnNumber?: unknown };
  if (lsid === undefined || txnNumber === undefined) return '';
  const id = lsid['id'] as Binary | Uint8Array;
  return `${Buffer.from(id instanceof Binary ? id.buffer : id).toString('hex')}/${String(txnNumber)}`;
}

function at(document: Document, path: string): unknown {
  return path.split('.').reduce<unknown>((value, segment) => (value as Document | undefined)?.[segment], document);
}

function keyText(key: unknown): Identity {
  if (key instanceof Binary)
    return key.sub_type === Binary.SUBTYPE_UUID ? key.toUUID().toString() : key.toString('hex');
  return String(key);
}
