/**
 * Many virtual users of the service. Requests begin when their time has come,
 * whether or not earlier ones are answered (open loop), and each latency counts
 * from that time. Every acknowledged write is read again at once through another
 * process, and every read is judged by the {@link History}.
 */
import { Backend, type Reply } from './client.ts';
import type { History, Look, Person } from './history.ts';
import { choose, draw, type Plan } from './plan.ts';

export interface LoadSettings {
  readonly ports: readonly number[];
  /** Requests begun a second, the reads that follow writes not counted. */
  readonly perSecond: number;
  /** The same number gives the same requests. */
  readonly seed: number;
}

export interface Sample {
  readonly atMs: number;
  readonly tookMs: number;
  readonly kind: 'read' | 'write';
}

export interface Tally {
  reads: number;
  writes: number;
  /** No answer, or one that a working service would not give. */
  failed: number;
  stale: number;
  wrong: number;
  /** The first failures and wrong reads, in words. */
  readonly examples: string[];
}

const EXAMPLES = 10;

export class Load {
  readonly tally: Tally = { reads: 0, writes: 0, failed: 0, stale: 0, wrong: 0, examples: [] };
  readonly samples: Sample[] = [];
  /** Subscriptions that a customer may have. */
  most = 1;
  readonly #history: History;
  readonly #settings: LoadSettings;
  readonly #random: () => number;
  readonly #underWay = new Set<Promise<void>>();
  #backends: Backend[];
  #turn = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(history: History, settings: LoadSettings) {
    this.#history = history;
    this.#settings = settings;
    this.#random = draw(settings.seed);
    this.#backends = settings.ports.map((port) => new Backend(port));
  }

  start(): void {
    const everyMs = 1000 / this.#settings.perSecond;
    let nextMs = performance.now();
    const beat = () => {
      for (; nextMs <= performance.now(); nextMs += everyMs) this.#begin(nextMs);
      this.#timer = setTimeout(beat, Math.max(0, nextMs - performance.now()));
    };
    beat();
  }

  /** Begins no more, and waits for what is under way. */
  async stop(): Promise<void> {
    clearTimeout(this.#timer);
    while (this.#underWay.size > 0) await Promise.all(this.#underWay);
    await Promise.all(this.#backends.map((backend) => backend.drained()));
  }

  /** Waits for what is under way now, and goes on beginning more. */
  async settled(): Promise<void> {
    await Promise.all(this.#underWay);
  }

  /** Sends to the process at `to` from now on, and no more to the one at `from`; resolves when that one is idle. */
  async replace(from: number, to: number): Promise<void> {
    const old = this.#backends.find(({ port }) => port === from);
    if (!old) throw new Error(`nothing is sent to port ${from}`);
    this.#backends = [...this.#backends.filter((backend) => backend !== old), new Backend(to)];
    await old.drained();
  }

  #begin(dueMs: number): void {
    const plan = choose(this.#history, this.#random, this.most);
    const work = this.#carryOut(plan, dueMs).finally(() => this.#underWay.delete(work));
    this.#underWay.add(work);
  }

  async #carryOut(plan: Plan, dueMs: number): Promise<void> {
    const backend = this.#next();
    if (plan.kind === 'read') return this.#read(plan.id, backend, dueMs);
    const id = await this.#write(plan, backend, dueMs);
    if (id !== undefined) await this.#read(id, this.#next(backend), performance.now());
  }

  /** Gives the customer's number when the write was acknowledged. */
  async #write(plan: Exclude<Plan, { kind: 'read' }>, backend: Backend, dueMs: number): Promise<string | undefined> {
    const { method, path, body } = plan;
    if (plan.kind === 'write') this.#history.beginWrite(plan.id, plan.look);
    this.tally.writes += 1;
    const reply = await this.#send(backend, method, path, body, dueMs, 'write', plan.kind === 'create' ? 201 : 200);
    if (plan.kind === 'write') {
      this.#history.endWrite(plan.id, reply ? 'acknowledged' : 'unknown');
      return reply && plan.id;
    }
    const id = (reply?.body as { customerId?: string } | undefined)?.customerId;
    if (id !== undefined) this.#history.know(id, plan.look);
    return id;
  }

  async #read(id: string, backend: Backend, dueMs: number): Promise<void> {
    const reading = this.#history.beginRead(id);
    this.tally.reads += 1;
    const reply = await this.#send(backend, 'GET', `/customers/${id}`, undefined, dueMs, 'read', 200, 404);
    if (!reply) return;
    const seen: Look = reply.status === 404 ? undefined : (reply.body as Person);
    const judgement = this.#history.endRead(reading, seen);
    if (judgement === 'right') return;
    this.tally[judgement] += 1;
    const saw = seen === undefined ? 'nobody' : JSON.stringify(seen);
    this.#note(`${judgement} read of customer ${id} through port ${backend.port}: saw ${saw}`);
  }

  /** The answer when it has one of the statuses; anything else is a failure. */
  async #send(
    backend: Backend,
    method: string,
    path: string,
    body: unknown,
    dueMs: number,
    kind: Sample['kind'],
    ...expected: readonly number[]
  ): Promise<Reply | undefined> {
    try {
      const reply = await backend.send(method, path, body);
      this.samples.push({ atMs: dueMs, tookMs: performance.now() - dueMs, kind });
      if (expected.includes(reply.status)) return reply;
      this.#note(`${method} ${path} through port ${backend.port}: ${reply.status}`);
    } catch (error) {
      this.#note(`${method} ${path} through port ${backend.port}: ${String(error)}`);
    }
    this.tally.failed += 1;
    return undefined;
  }

  /** Each in turn; another than `not`, where there is another. */
  #next(not?: Backend): Backend {
    this.#turn += 1;
    const backends = this.#backends.filter((backend) => backend !== not);
    const among = backends.length > 0 ? backends : this.#backends;
    return among[this.#turn % among.length] as Backend;
  }

  #note(what: string): void {
    if (this.tally.examples.length < EXAMPLES) this.tally.examples.push(what);
  }
}
