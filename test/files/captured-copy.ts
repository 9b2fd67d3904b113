/** Copies a tree in rounds that are told of changes, without the proof that would mend what a round missed. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  Capture,
  type CaptureOptions,
  Catalog,
  Changes,
  closeRoots,
  connect,
  findMoved,
  identityOf,
  noCounts,
  openRoots,
  parseAddress,
  type RoundCounts,
  runRound,
  SETTLE_MS,
  type SourceRoot,
  TargetLink,
} from '../../src/adapters/linux-files/index.ts';
import { receive } from '../../src/routes/relocate/index.ts';
import { Scratch } from './move.ts';

const QUIET = 20;

interface CapturedRound extends RoundCounts {
  /** Why it looked at everything; undefined when it went by what it was told. */
  readonly everything: string | undefined;
}

export class CapturedCopy implements AsyncDisposable {
  readonly capture: Capture;
  readonly #roots: readonly SourceRoot[];
  readonly #link: TargetLink;
  readonly #catalog: Catalog;
  readonly #own: ReadonlySet<string>;
  readonly #scratch: Scratch;
  readonly #serving: Promise<unknown>;
  readonly #stop: AbortController;

  private constructor(of: {
    capture: Capture;
    roots: readonly SourceRoot[];
    link: TargetLink;
    own: ReadonlySet<string>;
    scratch: Scratch;
    serving: Promise<unknown>;
    stop: AbortController;
    state: string;
  }) {
    this.capture = of.capture;
    this.#roots = of.roots;
    this.#link = of.link;
    this.#own = of.own;
    this.#scratch = of.scratch;
    this.#serving = of.serving;
    this.#stop = of.stop;
    this.#catalog = new Catalog(of.state);
  }

  /** From here on every change of the source is told of. */
  static async begin(
    source: string,
    target: string,
    options: Partial<CaptureOptions> = {},
    stateDir?: string,
  ): Promise<CapturedCopy> {
    const scratch = new Scratch();
    const stop = new AbortController();
    const address = `unix:${join(scratch.dir, 'socket')}`;
    const state = stateDir ?? join(scratch.dir, 'agent');
    for (const dir of [state, target]) mkdirSync(dir, { recursive: true });
    let isListening: () => void = () => undefined;
    const ready = new Promise<void>((resolve) => {
      isListening = resolve;
    });
    const serving = receive(
      { address, root: target, state: join(scratch.dir, 'receive'), once: true, commandTimeout: 60 },
      { signal: stop.signal, onEvent: (event) => event.kind === 'listening' && isListening() },
    );
    await Promise.race([ready, serving]);
    const mappings = [{ source, target: '/' }];
    const channel = await connect(parseAddress(address), undefined, stop.signal);
    const link = await TargetLink.open(
      channel,
      { move: 'captured', mappings },
      { compress: 'never', zstd: async (data) => data, take: async () => {} },
    );
    const roots = openRoots(mappings);
    const own = new Set([identityOf(state), identityOf(target)]);
    return new CapturedCopy({
      capture: new Capture(roots, { own, ...options }),
      roots,
      link,
      own,
      scratch,
      serving,
      stop,
      state,
    });
  }

  async round(): Promise<CapturedRound> {
    const counts = noCounts();
    const changes = this.capture.take();
    const later = new Changes();
    this.#catalog.merge(this.#link.outbox.done);
    const before = this.#catalog.read(this.#link.outbox.done);
    const after = this.#catalog.write();
    try {
      await runRound({
        roots: this.#roots,
        outbox: this.#link.outbox,
        before,
        after,
        own: this.#own,
        counts,
        devices: new Map(),
        sums: (...of) => this.#link.sums(...of),
        move: (...of) => this.#link.move(...of),
        moved: findMoved(this.#catalog.records(this.#link.outbox.done), changes),
        repair: [],
        captured: { changes, later, isTold: true },
        signal: this.#stop.signal,
        onRemark: () => undefined,
        onProgress: () => undefined,
      });
      this.#catalog.finish();
    } finally {
      after.close();
      before.close();
    }
    this.capture.putBack(later);
    return { ...counts, everything: changes.everything };
  }

  /** Rounds until one finds nothing; gives all of them. */
  async settle(): Promise<readonly CapturedRound[]> {
    const rounds: CapturedRound[] = [];
    for (;;) {
      // As the agent does: what was sent a moment ago is known by its signature only then. The trace names inodes by
      // number alone, so that the target's own files, on the same machine, may make one of the source look changed.
      if (rounds.length > 0) await sleep(SETTLE_MS);
      const round = await this.round();
      rounds.push(round);
      if (round.sent + round.removed + round.unsettled === 0) return rounds;
      if (rounds.length > QUIET) throw new Error(`No end after ${QUIET} rounds: ${JSON.stringify(rounds.slice(-3))}`);
    }
  }

  takeWireBytes(): number {
    return this.#link.takeWireBytes();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.capture[Symbol.dispose]();
    await this.#link.close();
    await this.#serving.catch(() => undefined);
    closeRoots(this.#roots);
    this.#scratch[Symbol.dispose]();
  }
}
