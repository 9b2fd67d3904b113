import type { GodwitError } from '../../../kernel/errors.ts';
import type { CommandResult, MigrateStatus } from '../api.ts';
import type { RunnerHooks } from '../open-run.ts';
import type { RunContext } from '../run-context.ts';
import { buildStatus } from '../status.ts';

const TELL_MS = 500;
const SAMPLE_MS = 1_000;

type Told = Pick<RunContext, 'store' | 'meter' | 'throttle' | 'selection' | 'clock'>;

/** Tells listeners and other processes where a run stands while it has no runner of its own. */
export class RunTeller {
  readonly #run: Told;
  readonly #hooks: RunnerHooks;
  readonly #timer: NodeJS.Timeout;
  #eventSeq: number;
  #sampledMs = 0;
  #fault: MigrateStatus['fault'] = null;

  constructor(run: Told, hooks: RunnerHooks) {
    this.#run = run;
    this.#hooks = hooks;
    this.#eventSeq = run.store.events().at(-1)?.seq ?? 0;
    this.#timer = setInterval(() => this.#tell(), TELL_MS);
  }

  fault(error: GodwitError | undefined): void {
    if (error?.code === this.#fault?.code) return;
    this.#fault = error ? { code: error.code, message: error.message, since: new Date().toISOString() } : null;
    if (error) this.#run.store.event('fault', { code: error.code, message: error.message });
  }

  result(message: string, already: boolean): CommandResult {
    const { store } = this.#run;
    return { version: 1, command: 'import', run: store.run, phase: store.phase, already, message };
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#tell();
  }

  #tell(): void {
    const { store, meter, clock } = this.#run;
    meter.read();
    const status = this.#status();
    const now = clock.now();
    store.heartbeat(process.pid, now);
    store.setLive(status);
    if (now - this.#sampledMs >= SAMPLE_MS) {
      this.#sampledMs = now;
      store.sample(now, { copyBytes: meter.copyBytes, copyDocs: meter.copyDocs });
    }
    for (const event of store.events(this.#eventSeq)) {
      this.#eventSeq = event.seq;
      const at = new Date(event.atMs).toISOString();
      this.#hooks.onEvent({ type: 'event', at, kind: event.kind, data: event.data });
    }
    this.#hooks.onEvent({ type: 'status', status });
  }

  #status(): MigrateStatus {
    const { store, meter, throttle, selection } = this.#run;
    return buildStatus(
      store,
      {
        meter,
        throttled: throttle.isBinding ? throttle.reason : undefined,
        fault: this.#fault,
        lagSeconds: undefined,
        sync: undefined,
        spooledTo: undefined,
        spoolBytes: 0,
        moment: undefined,
        selectionTarget: (db, name) => selection.target(db, name),
      },
      { alive: true, pid: process.pid },
    );
  }
}
