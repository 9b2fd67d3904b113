/** What a virtual user does next, by chance that can be repeated. */
import type { History, Look, Person } from './history.ts';

const PLANS = ['room', 'drinks', 'trial', 'coupon', 'parking'] as const;
/** So much of the traffic goes to so few customers, so that reads and writes of one of them meet. */
const HOT_SHARE = 0.3;
const HOT_CUSTOMERS = 100;
const READ_SHARE = 0.5;

interface Request {
  readonly method: string;
  readonly path: string;
  readonly body?: unknown;
}

export type Plan =
  | { readonly kind: 'read'; readonly id: string }
  | ({ readonly kind: 'create'; readonly look: Person } & Request)
  | ({ readonly kind: 'write'; readonly id: string; readonly look: Look } & Request);

/** A stream of numbers from 0 to 1 that depends on the seed alone (xorshift32). */
export function draw(seed: number): () => number {
  let state = (seed | 0) === 0 ? 1 : seed | 0;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

export function choose(history: History, random: () => number, most: number): Plan {
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)] as T;
  const dice = random();
  if (history.living.length === 0 || dice > 0.96) return create(random);
  const id =
    random() < HOT_SHARE
      ? (history.living[Math.floor(random() * Math.min(HOT_CUSTOMERS, history.living.length))] as string)
      : pick(history.living);
  const now = history.settled(id);
  // Somebody else is writing to this customer: then this user only looks.
  if (dice < READ_SHARE || now === undefined) return { kind: 'read', id };
  const path = `/customers/${id}`;
  if (dice < 0.7) {
    const email = newEmail(random);
    return { kind: 'write', id, method: 'PUT', path: `${path}/email`, body: { email }, look: { ...now, email } };
  }
  if (dice < 0.73) return { kind: 'write', id, method: 'DELETE', path, look: undefined };
  const held = now.subscriptions;
  if (held.length < most && (held.length === 0 || random() < 0.5)) {
    const plan = pick(PLANS.filter((name) => !held.some((other) => other.plan === name)));
    const started = new Date(1.6e12 + Math.floor(random() * 1.8e11)).toISOString();
    const body = { plan, amount: amount(random), started };
    const look = { ...now, subscriptions: [...held, body] };
    return { kind: 'write', id, method: 'POST', path: `${path}/subscriptions`, body, look };
  }
  const one = pick(held);
  const others = held.filter((other) => other !== one);
  const about = `${path}/subscriptions/${one.plan}`;
  if (random() < 0.4)
    return { kind: 'write', id, method: 'DELETE', path: about, look: { ...now, subscriptions: others } };
  const body = { amount: amount(random) };
  const look = { ...now, subscriptions: [...others, { ...one, ...body }] };
  return { kind: 'write', id, method: 'PUT', path: about, body, look };
}

function create(random: () => number): Plan {
  const body = { email: newEmail(random), name: `Guest ${Math.floor(random() * 1e9).toString(36)}` };
  return { kind: 'create', method: 'POST', path: '/customers', body, look: { ...body, subscriptions: [] } };
}

const newEmail = (random: () => number): string => `${Math.floor(random() * 2 ** 32).toString(36)}@example.net`;
const amount = (random: () => number): number => 100 + Math.floor(random() * 20_000);
