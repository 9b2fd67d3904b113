/** People who order and look at their orders, all the time; what they were told is written down here. */
import { Agent, request } from 'node:http';

const PATIENCE_MS = 300;
const AGAIN_MS = 5;
const THINK_MS = 8;

interface Answer {
  readonly status: number;
  readonly machine: string;
  readonly body: string;
}

export class Customers {
  /** Which machine acknowledged each order. */
  readonly acknowledged = new Map<number, string>();
  /** When each acknowledgement came, by `performance.now`, and from where. */
  readonly answers: { readonly at: number; readonly machine: string }[] = [];
  /** Orders that were acknowledged more than once. */
  twice = 0;
  /** Reads that did not find an order that had been acknowledged, or found another text. */
  missed = 0;
  reads = 0;
  readonly #host: string;
  readonly #port: number;
  #running = true;
  #next = 0;
  readonly #workers: Promise<void>[];

  constructor(host: string, port: number, writers: number, readers: number) {
    this.#host = host;
    this.#port = port;
    this.#workers = [
      ...Array.from({ length: writers }, () => this.#order()),
      ...Array.from({ length: readers }, () => this.#look()),
    ];
  }

  async stop(): Promise<void> {
    this.#running = false;
    await Promise.all(this.#workers);
  }

  /** Orders with the same number until somebody says that it is taken. */
  async #order(): Promise<void> {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    while (this.#running) {
      this.#next += 1;
      const id = this.#next;
      for (;;) {
        const answer = await this.#ask(agent, 'POST', `/orders/${id}`);
        if (answer?.status === 200) {
          if (this.acknowledged.has(id)) this.twice += 1;
          this.acknowledged.set(id, answer.machine);
          this.answers.push({ at: performance.now(), machine: answer.machine });
          break;
        }
        if (!this.#running) break;
        await pause(AGAIN_MS);
      }
      await pause(THINK_MS);
    }
    agent.destroy();
  }

  async #look(): Promise<void> {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    while (this.#running) {
      const known = [...this.acknowledged.keys()];
      const id = known[Math.floor(Math.random() * known.length)];
      const answer = id === undefined ? undefined : await this.#ask(agent, 'GET', `/orders/${id}`);
      if (answer?.status === 200 || answer?.status === 404) {
        this.reads += 1;
        if (answer.status === 404 || !answer.body.includes(`order ${id} `)) this.missed += 1;
      }
      await pause(THINK_MS);
    }
    agent.destroy();
  }

  #ask(agent: Agent, method: string, path: string): Promise<Answer | undefined> {
    return new Promise((resolve) => {
      const asked = request(
        { host: this.#host, port: this.#port, method, path, agent, timeout: PATIENCE_MS },
        (from) => {
          let body = '';
          from.setEncoding('utf8');
          from.on('data', (chunk: string) => {
            body += chunk;
          });
          from.on('end', () =>
            resolve({ status: from.statusCode ?? 0, machine: String(from.headers['x-machine']), body }),
          );
          from.on('error', () => resolve(undefined));
        },
      );
      asked.on('timeout', () => asked.destroy());
      asked.on('error', () => resolve(undefined));
      asked.end();
    });
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
