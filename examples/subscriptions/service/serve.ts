/** The web side of the service: routes, page, and an end that drops no request. The same before and after. */
import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { resolve } from 'node:path';
import type { Pool } from 'pg';
import type { Customers } from './customers.ts';
import { latest } from './journal.ts';

const PAGE = readFileSync(resolve(import.meta.dirname, 'page.html'));
/** Longer than any client of ours keeps an idle connection, so that the client is the one to close it. */
const KEEP_ALIVE_MS = 60_000;
const MAX_BODY_BYTES = 10_000;
const SHOWN = 12;

class Refusal extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** Serves on PORT until SIGTERM; then it finishes what it has begun, and `close` ends the rest. */
export async function serve(customers: Customers, pool: Pool, close: () => Promise<void>): Promise<void> {
  const server = createServer((request, response) => {
    answer(customers, pool, request).then(
      ([status, body]) => send(response, status, body),
      (error: unknown) => {
        if (error instanceof Refusal) return send(response, error.status, { error: error.message });
        process.stderr.write(`${request.method} ${request.url}: ${String((error as Error).stack ?? error)}\n`);
        return send(response, 500, { error: 'internal' });
      },
    );
  });
  server.keepAliveTimeout = KEEP_ALIVE_MS;
  server.listen(Number(process.env['PORT'] ?? 3000), '127.0.0.1');
  await new Promise((done) => server.once('listening', done));
  const { port } = server.address() as AddressInfo;
  process.send?.({ port });
  await new Promise((done) => {
    for (const name of ['SIGTERM', 'SIGINT', 'disconnect']) process.once(name, done);
  });
  await new Promise((done) => server.close(done));
  await close();
  if (process.connected) process.disconnect();
}

type Answer = readonly [status: number, body?: unknown];

async function answer(customers: Customers, pool: Pool, request: IncomingMessage): Promise<Answer> {
  const [path = '/', query] = (request.url ?? '/').split('?');
  const [root, number, part, plan, ...more] = path.split('/').slice(1);
  if (request.method === 'GET' && path === '/') return [200, PAGE];
  if (root !== 'customers' || more.length > 0) throw new Refusal(404, 'no such page');
  if (number === undefined || number === '') {
    if (request.method === 'GET') return [200, await newest(customers, pool, query)];
    if (request.method !== 'POST') throw new Refusal(405, 'GET or POST');
    const body = await bodyOf(request);
    return [201, { customerId: String(await customers.create(text(body, 'email'), text(body, 'name'))) }];
  }
  if (!/^\d{1,18}$/.test(number)) throw new Refusal(400, 'a customer has a number');
  const id = BigInt(number);
  const how = [request.method, part, plan === undefined ? undefined : ':plan'].filter((word) => word).join(' ');
  switch (how) {
    case 'GET': {
      const customer = await customers.read(id);
      if (!customer) throw new Refusal(404, 'no such customer');
      return [200, customer];
    }
    case 'DELETE':
      return done(await customers.delete(id), 404, 'no such customer');
    case 'PUT email':
      return done(await customers.changeEmail(id, text(await bodyOf(request), 'email')), 404, 'no such customer');
    case 'POST subscriptions': {
      const body = await bodyOf(request);
      const started = text({ started: new Date().toISOString(), ...body }, 'started');
      const subscription = { plan: text(body, 'plan'), amount: whole(body, 'amount'), started };
      return done(await customers.subscribe(id, subscription), 409, 'this customer can have no further subscription');
    }
    case 'PUT subscriptions :plan': {
      const amount = whole(await bodyOf(request), 'amount');
      return done(await customers.changeAmount(id, plan as string, amount), 404, 'no such subscription');
    }
    case 'DELETE subscriptions :plan':
      return done(await customers.cancel(id, plan as string), 404, 'no such subscription');
    default:
      throw new Refusal(404, 'no such page');
  }
}

function done(happened: boolean, otherwise: number, why: string): Answer {
  if (!happened) throw new Refusal(otherwise, why);
  return [200, { ok: true }];
}

/** The customers that something happened to last; those that are gone are left out. */
async function newest(customers: Customers, pool: Pool, query: string | undefined): Promise<unknown> {
  const asked = new URLSearchParams(query).get('id');
  const ids = asked && /^\d{1,18}$/.test(asked) ? [BigInt(asked)] : await latest(pool, SHOWN);
  const found = await Promise.all(ids.map((id) => customers.read(id)));
  return { process: process.pid, customers: found.filter((customer) => customer !== undefined) };
}

async function bodyOf(request: IncomingMessage): Promise<Record<string, unknown>> {
  let body = '';
  for await (const piece of request) {
    body += piece;
    if (body.length > MAX_BODY_BYTES) throw new Refusal(413, 'too long');
  }
  try {
    const value: unknown = JSON.parse(body);
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>;
  } catch {
    // Said below.
  }
  throw new Refusal(400, 'the body must be a JSON object');
}

function text(body: Record<string, unknown>, field: string): string {
  const value = body[field];
  if (typeof value !== 'string' || value === '' || value.length > 200) throw new Refusal(400, `${field} is wanted`);
  if (field !== 'started') return value;
  if (Number.isNaN(Date.parse(value))) throw new Refusal(400, 'started must be a moment');
  return new Date(value).toISOString();
}

function whole(body: Record<string, unknown>, field: string): number {
  const value = body[field];
  if (!Number.isInteger(value) || (value as number) < 0 || (value as number) > 1e9)
    throw new Refusal(400, `${field} must be a whole number`);
  return value as number;
}

function send(response: ServerResponse, status: number, body: unknown): void {
  const page = Buffer.isBuffer(body);
  const bytes = page
    ? body
    : Buffer.from(JSON.stringify(body, (_, value) => (typeof value === 'bigint' ? String(value) : value)));
  response.writeHead(status, {
    'content-type': page ? 'text/html; charset=utf-8' : 'application/json',
    'content-length': bytes.length,
    'cache-control': 'no-store',
  });
  response.end(bytes);
}
