/** A live move whose sides run in this process, so that tests can look into it. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AgentOptions, AgentResult, MoveStatus, RelocateEvent } from '../../src/routes/relocate/api.ts';
import { agent, receive, status } from '../../src/routes/relocate/index.ts';
import { waitFor } from '../servers/wait-for.ts';

export class LiveInProcess implements AsyncDisposable {
  readonly dir = mkdtempSync(join(tmpdir(), 'godwit-live-'));
  /** Of the receiver. */
  readonly state = join(this.dir, 'receive');
  readonly events: RelocateEvent[] = [];
  readonly #address = `unix:${join(this.dir, 'socket')}`;
  readonly #stop = new AbortController();
  readonly #sides: Promise<unknown>[] = [];
  #agent = new AbortController();
  #receive = new AbortController();
  #receiver: Promise<unknown> | undefined;
  #ended: Promise<AgentResult | Error> | undefined;

  async startReceive(root: string, commands = { startCommand: 'true', stopCommand: 'true' }): Promise<void> {
    const stop = new AbortController();
    this.#receive = stop;
    let isListening = false;
    const onEvent = (event: RelocateEvent) => {
      isListening ||= event.kind === 'listening';
      this.events.push(event);
    };
    const words = { address: this.#address, root, state: this.state, once: false, commandTimeout: 60, ...commands };
    const serving = receive(words, { signal: stop.signal, onEvent });
    this.#receiver = serving;
    this.#sides.push(serving);
    await Promise.race([serving, waitFor(() => isListening, { timeoutMs: 30_000, what: 'the receiver' })]);
  }

  async endReceive(): Promise<void> {
    this.#receive.abort();
    await this.#receiver?.catch(() => undefined);
  }

  startAgent(source: string, options: Partial<AgentOptions> = {}): void {
    const stop = new AbortController();
    this.#agent = stop;
    const ended = agent(
      {
        address: this.#address,
        mappings: [{ source, target: '/' }],
        state: this.agentState,
        compress: 'never',
        name: 'default',
        once: false,
        rounds: 8,
        dryRun: false,
        retryFor: 5,
        services: { stopCommand: 'true', resumeCommand: 'true', commandTimeout: 60 },
        ...options,
      },
      {
        signal: stop.signal,
        onEvent: (event) => void this.events.push(event),
        onProgress: () => undefined,
      },
    );
    this.#ended = ended.catch((error: unknown) => (error instanceof Error ? error : new Error(String(error))));
    this.#sides.push(ended);
  }

  async endAgent(): Promise<void> {
    this.#agent.abort();
    await this.ended;
  }

  /** The agent's last words: what it gave, or the error that ended it. */
  get ended(): Promise<AgentResult | Error> {
    return this.#ended ?? Promise.reject(new Error('no agent was started'));
  }

  /** What the agent is asked with. */
  get agentState(): string {
    return join(this.dir, 'agent');
  }

  status(): Promise<MoveStatus> {
    return status(this.agentState, this.#stop.signal);
  }

  /** The source is followed, and both sides were looked at once. */
  async follows(): Promise<void> {
    await waitFor(async () => (await this.status()).lookedAt !== undefined, {
      timeoutMs: 60_000,
      what: 'a source that is followed',
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#agent.abort();
    this.#receive.abort();
    this.#stop.abort();
    await Promise.allSettled(this.#sides);
    rmSync(this.dir, { recursive: true, force: true });
  }
}
