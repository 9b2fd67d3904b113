/** The other roles, as the engine sends to them: what matters at once goes on a lane of its own. */
import { type Address, Mesh } from '../../../adapters/framed-tcp/index.ts';
import type { Link, Role } from '../../../kernel/protect/ports.ts';
import type { PeerStatus, ProtectHooks, SharedOptions } from '../api.ts';
import type { Mark, Message, MessageOf } from '../engine/messages.ts';
import { decodeMessage, encodeMessage } from '../wire/codec.ts';
import { tell } from './events.ts';
import { factsOf, readKey } from './layout.ts';

const ORDER_LANE = 0;
const DATA_LANE = 1;
const LANES = 2;
const TOGETHER_MS = 1;
const ROLES: readonly string[] = ['primary', 'auxiliary', 'dr'] satisfies Role[];

export interface NetworkOptions {
  readonly self: Role;
  readonly shared: SharedOptions;
  readonly listen?: Address;
  readonly dial: Partial<Record<Role, Address>>;
  readonly hooks: ProtectHooks;
}

export class Network implements Link<Message> {
  readonly #mesh: Mesh;
  #receive: (from: Role, message: Message) => void = () => {};
  /** Said in this turn, and not sent yet. */
  #order: { readonly epoch: number; readonly records: Buffer[]; settled: Mark } | undefined;
  #orderSentAt = 0;

  constructor({ self, shared, listen, dial, hooks }: NetworkOptions) {
    this.#mesh = new Mesh({
      self,
      facts: factsOf(shared),
      key: readKey(shared),
      listen,
      dial: new Map(Object.entries(dial)),
      lanes: LANES,
      onFrame: (from, frame) => this.#hear(from, frame),
      onChange: (peer, what, why) => tell(hooks, `peer-${what}`, { peer, ...(why ? { why } : {}) }),
    });
  }

  /** Listens and connects; what comes goes to `receive`. */
  async start(receive: (from: Role, message: Message) => void): Promise<void> {
    this.#receive = receive;
    await this.#mesh.start();
  }

  send(to: Role, message: Message): void {
    if (message.type === 'order' && message.restart === undefined) {
      this.#collect(message);
      return;
    }
    this.#send(to, message);
  }

  /**
   * Records that get their places within a millisecond go together: the head of a message is a third of a record. One that
   * comes alone does not wait.
   */
  #collect(message: MessageOf<'order'>): void {
    const before = this.#order;
    if (before !== undefined && before.epoch === message.epoch) {
      before.records.push(message.records);
      before.settled = message.settled;
      return;
    }
    this.#sendOrder();
    this.#order = { epoch: message.epoch, settled: message.settled, records: [message.records] };
    const wait = this.#orderSentAt + TOGETHER_MS - performance.now();
    if (wait <= 0) process.nextTick(() => this.#sendOrder());
    else setTimeout(() => this.#sendOrder(), wait);
  }

  #sendOrder(): void {
    if (this.#order === undefined) return;
    const { records, ...rest } = this.#order;
    this.#order = undefined;
    this.#orderSentAt = performance.now();
    this.#send('dr', { type: 'order', ...rest, records: Buffer.concat(records) });
  }

  #send(to: Role, message: Message): void {
    // The primary's blocks, to either side, must not stand in the way of order and leases.
    const bulky = message.type === 'data' || message.type === 'stored' || message.type === 'blocks';
    this.#mesh.send(to, bulky ? DATA_LANE : ORDER_LANE, encodeMessage(message));
  }

  statusOf(role: Role): PeerStatus {
    return {
      connected: this.#mesh.isConnected(role),
      order: this.#mesh.bytes(role, ORDER_LANE),
      data: this.#mesh.bytes(role, DATA_LANE),
    };
  }

  close(): void {
    this.#mesh.close();
  }

  #hear(from: string, frame: Buffer): void {
    if (ROLES.includes(from)) this.#receive(from as Role, decodeMessage(frame));
  }
}
