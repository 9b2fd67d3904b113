/** HTTP to one process of the service. */
import { Agent, request } from 'node:http';

export interface Reply {
  readonly status: number;
  readonly body: unknown;
}

/** A process that gets requests until it is taken out. */
export class Backend {
  readonly port: number;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 64 });
  #busy = 0;
  #idle: (() => void) | undefined;

  constructor(port: number) {
    this.port = port;
  }

  /** @throws what the connection throws; any status is an answer. */
  async send(method: string, path: string, body?: unknown): Promise<Reply> {
    this.#busy += 1;
    try {
      return await this.#send(method, path, body === undefined ? undefined : JSON.stringify(body));
    } finally {
      this.#busy -= 1;
      if (this.#busy === 0) this.#idle?.();
    }
  }

  /** Resolves when no request is under way. Whoever calls this sends no more. */
  async drained(): Promise<void> {
    if (this.#busy > 0) await new Promise<void>((done) => (this.#idle = done));
    this.#agent.destroy();
  }

  #send(method: string, path: string, body: string | undefined): Promise<Reply> {
    return new Promise((done, fail) => {
      const headers = body === undefined ? {} : { 'content-length': Buffer.byteLength(body) };
      const call = request(
        { host: '127.0.0.1', port: this.port, method, path, agent: this.#agent, headers, timeout: 30_000 },
        (response) => {
          let text = '';
          response.setEncoding('utf8');
          response.on('data', (piece: string) => {
            text += piece;
          });
          response.on('error', fail);
          response.on('end', () => {
            try {
              done({ status: response.statusCode ?? 0, body: text === '' ? undefined : JSON.parse(text) });
            } catch (error) {
              fail(error);
            }
          });
        },
      );
      call.on('timeout', () => call.destroy(new Error('no answer in 30 s')));
      call.on('error', fail);
      call.end(body);
    });
  }
}
