/** Orders one thing after another, and remembers what was acknowledged. */
import type { Vm } from './vm.ts';

/** Of a machine that is emulated beside others: what is slow has not failed. */
const PATIENCE_MS = 300_000;

export class Customer {
  readonly taken: string[] = [];
  /** Orders that were not acknowledged: they may be there or not. */
  readonly failed: string[] = [];
  readonly #vm: Vm;
  #isGone = false;
  #count = 0;
  readonly #shopping: Promise<void>;

  constructor(vm: Vm) {
    this.#vm = vm;
    this.#shopping = this.#shop();
  }

  async leave(): Promise<void> {
    this.#isGone = true;
    await this.#shopping;
  }

  async #shop(): Promise<void> {
    while (!this.#isGone) {
      this.#count += 1;
      const order = `order-${this.#count}`;
      ((await isTaken(this.#vm, order)) ? this.taken : this.failed).push(order);
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
  }
}

export async function isTaken(vm: Vm, order: string): Promise<boolean> {
  return (await vm.get(`/cgi-bin/order?${order}`, PATIENCE_MS)) === `taken ${order}\n`;
}

/** What of the orders the shop does not have, has twice, or never got. */
export async function wrongOrders(vm: Vm, { taken, failed }: Pick<Customer, 'taken' | 'failed'>): Promise<string[]> {
  const orders = ((await vm.get('/orders.txt', PATIENCE_MS)) ?? '').split('\n').filter((line) => line !== '');
  const known = new Set(orders);
  const mayBe = new Set([...taken, ...failed]);
  const lost = taken.filter((order) => !known.has(order));
  const foreign = orders.filter((order) => !mayBe.has(order));
  const wrong: string[] = [];
  if (lost.length > 0) wrong.push(`${lost.length} orders that were acknowledged are lost: ${lost.slice(0, 5)}`);
  if (known.size < orders.length) wrong.push(`${orders.length - known.size} orders are there twice`);
  if (foreign.length > 0) wrong.push(`orders that nobody gave: ${foreign.slice(0, 5)}`);
  return wrong;
}
