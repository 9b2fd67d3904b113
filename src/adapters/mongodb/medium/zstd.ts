import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { Worker } from 'node:worker_threads';
import * as zlib from 'node:zlib';

const require = createRequire(import.meta.url);

/** The library's own default: where speed and size meet for most data. */
const LEVEL = 3;

type OneShot = (data: Buffer) => Promise<Buffer>;

/** Node has Zstandard from 22.15 on; before that a library does it, in a thread, because its calls block. */
const builtIn = zlib as unknown as Partial<
  Record<
    'zstdCompress' | 'zstdDecompress',
    (data: Buffer, callback: (error: Error | null, out: Buffer) => void) => void
  >
>;

export const compressZstd: OneShot = builtIn.zstdCompress
  ? promisify(builtIn.zstdCompress)
  : (data) => inThread('compress', data);

export const decompressZstd: OneShot = builtIn.zstdDecompress
  ? promisify(builtIn.zstdDecompress)
  : (data) => inThread('decompress', data);

interface Job {
  readonly data: Buffer;
  resolve(out: Buffer): void;
  reject(error: Error): void;
}

type Answer = { readonly out: Uint8Array } | { readonly error: string };

/** Runs in a thread of its own; plain JavaScript, because no loader is at work there. */
const THREAD = `
const { parentPort, workerData } = require('node:worker_threads');
const library = import(workerData.library);
parentPort.on('message', async (data) => {
  try {
    const zstd = await library;
    const made = workerData.work === 'compress' ? zstd.compress(data, workerData.level) : zstd.decompress(data);
    // Memory that belongs to nobody else can be handed over without a copy.
    const out = new Uint8Array(made);
    parentPort.postMessage({ out }, [out.buffer]);
  } catch (error) {
    parentPort.postMessage({ error: String(error && error.message) });
  }
});
`;

/**
 * One thread for one kind of work, one block after another: the library keeps
 * one memory for all who compress and one for all who decompress, so two
 * threads of a kind would write over each other.
 */
class Thread {
  readonly #work: 'compress' | 'decompress';
  #worker: Worker | undefined;
  readonly #jobs: Job[] = [];

  constructor(work: 'compress' | 'decompress') {
    this.#work = work;
  }

  run(data: Buffer): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      this.#jobs.push({ data, resolve, reject });
      if (this.#jobs.length === 1) this.#next();
    });
  }

  #next(): void {
    const job = this.#jobs[0];
    if (!job) return;
    this.#worker ??= this.#start();
    this.#worker.ref();
    // A view would be cloned with all the memory it looks into.
    const data = new Uint8Array(job.data);
    this.#worker.postMessage(data, [data.buffer]);
  }

  #start(): Worker {
    const library = pathToFileURL(require.resolve('@cloudpss/zstd/napi')).href;
    const worker = new Worker(THREAD, { eval: true, workerData: { library, level: LEVEL, work: this.#work } });
    worker.on('message', (answer: Answer) => {
      // Nothing under way must not keep the process alive.
      worker.unref();
      const job = this.#jobs.shift();
      if ('error' in answer) job?.reject(new Error(answer.error));
      else job?.resolve(Buffer.from(answer.out.buffer, answer.out.byteOffset, answer.out.byteLength));
      this.#next();
    });
    worker.on('error', (error) => {
      this.#worker = undefined;
      for (const job of this.#jobs.splice(0)) job.reject(error instanceof Error ? error : new Error(String(error)));
    });
    return worker;
  }
}

const threads = { compress: new Thread('compress'), decompress: new Thread('decompress') };

function inThread(work: keyof typeof threads, data: Buffer): Promise<Buffer> {
  return threads[work].run(data);
}
