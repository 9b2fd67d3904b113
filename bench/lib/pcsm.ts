import { setTimeout as sleep } from 'node:timers/promises';
import { pickFreePort } from '../../test/servers/ports.ts';
import { MeasuredProcess } from './measured-process.ts';

/** What of its status is used. */
interface PcsmStatus {
  readonly ok: boolean;
  readonly error?: string;
  readonly state: string;
  readonly lagTimeSeconds: number;
  readonly eventsApplied: number;
  readonly initialSync?: { readonly completed: boolean; readonly cloneCompleted: boolean };
}

/** Percona ClusterSync as a server, driven by its HTTP interface. */
export class Pcsm {
  readonly process: MeasuredProcess;
  readonly #url: string;

  private constructor(process: MeasuredProcess, port: number) {
    this.process = process;
    this.#url = `http://localhost:${port}`;
  }

  static async open(binary: string, source: string, target: string): Promise<Pcsm> {
    const port = await pickFreePort();
    const argv = [
      binary,
      '--source',
      source,
      '--target',
      target,
      '--port',
      String(port),
      '--reset-state',
      '--log-no-color',
    ];
    const pcsm = new Pcsm(new MeasuredProcess(argv), port);
    try {
      await pcsm.until((status) => status.state !== '', 30_000, 50);
      return pcsm;
    } catch (error) {
      await pcsm.close();
      throw error;
    }
  }

  async status(): Promise<PcsmStatus> {
    return (await this.#call('GET', '/status')) as unknown as PcsmStatus;
  }

  /** `/start`, `/pause`, `/resume`; throws what it answers when that is not yes. */
  async command(path: string, body: Readonly<Record<string, unknown>> = {}): Promise<void> {
    const answer = await this.#call('POST', path, body);
    if (answer['ok'] !== true) throw new Error(`pcsm refused ${path}: ${JSON.stringify(answer)}`);
  }

  /** Asks for the status until it fits. */
  async until(fits: (status: PcsmStatus) => boolean, timeoutMs: number, everyMs = 100): Promise<PcsmStatus> {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      if (!this.process.running) throw new Error(`pcsm ended:\n${this.process.tail}`);
      const status = await this.status().catch(() => undefined);
      if (status?.state === 'failed') throw new Error(`pcsm failed: ${JSON.stringify(status)}\n${this.process.tail}`);
      if (status && fits(status)) return status;
      if (performance.now() > deadline)
        throw new Error(`pcsm did not get there: ${JSON.stringify(status)}\n${this.process.tail}`);
      await sleep(everyMs);
    }
  }

  async close(): Promise<void> {
    await this.process.stop('SIGINT');
  }

  async #call(method: string, path: string, body?: unknown): Promise<Record<string, unknown>> {
    const init = body === undefined ? { method } : { method, body: JSON.stringify(body) };
    const response = await fetch(`${this.#url}${path}`, { ...init, signal: AbortSignal.timeout(60_000) });
    return (await response.json()) as Record<string, unknown>;
  }
}
