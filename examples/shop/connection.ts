/** An application's connection whose address stands in a file that may change while it runs. */
import { readFileSync, unwatchFile, watchFile } from 'node:fs';
import { type Db, MongoClient } from 'mongodb';

const LOOK_EVERY_MS = 100;
/** Long enough for what is under way on the old connection to end by itself. */
const OLD_CLIENT_MS = 3000;

export class Connection {
  readonly #file: string;
  readonly #onMoved: (set: string) => void;
  #url = '';
  #client: MongoClient | undefined;

  constructor(file: string, onMoved: (set: string) => void) {
    this.#file = file;
    this.#onMoved = onMoved;
  }

  get client(): MongoClient {
    if (!this.#client) throw new Error('not open');
    return this.#client;
  }

  /** The database that the address names. */
  get db(): Db {
    return this.client.db();
  }

  /** Name of the replica set in use. */
  get set(): string {
    return new URL(this.#url.replace(/,[^/]*/, '')).searchParams.get('replicaSet') ?? '?';
  }

  async open(): Promise<void> {
    this.#url = this.#read();
    this.#client = await new MongoClient(this.#url).connect();
    watchFile(this.#file, { interval: LOOK_EVERY_MS }, () => void this.#reload());
  }

  async close(): Promise<void> {
    unwatchFile(this.#file);
    await this.#client?.close();
  }

  /** Stays with the old address until the new one answers; an address that never does is tried again and again. */
  async #reload(): Promise<void> {
    const url = this.#read();
    if (url === this.#url || url === '') return;
    const fresh = new MongoClient(url);
    try {
      await fresh.connect();
    } catch {
      await fresh.close();
      setTimeout(() => void this.#reload(), LOOK_EVERY_MS);
      return;
    }
    const old = this.#client;
    this.#client = fresh;
    this.#url = url;
    this.#onMoved(this.set);
    setTimeout(() => void old?.close(), OLD_CLIENT_MS).unref();
  }

  #read(): string {
    return /^DATABASE_URL="(.*)"$/m.exec(readFileSync(this.#file, 'utf8'))?.[1] ?? '';
  }
}
