/** `--sync`: changes are carried in rounds; between them the target stands still and the source's log is not read. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Document } from 'mongodb';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { MigrateOptions, MigrateStatus, RunEvent, SyncRound } from '../../../src/routes/migrate/api.ts';
import { command, run, status } from '../../../src/routes/migrate/index.ts';
import { type ReplicaSet, startReplicaSet, waitFor } from '../../servers/index.ts';
import { compareClusters } from '../../tools/compare-clusters.ts';
import { PLAIN } from './plain-options.ts';

let source: ReplicaSet;
let target: ReplicaSet;
let state: string;

beforeAll(async () => {
  [source, target] = await Promise.all([startReplicaSet({ name: 'from' }), startReplicaSet({ name: 'to' })]);
  state = mkdtempSync(join(tmpdir(), 'godwit-sync-'));
});
afterAll(async () => {
  await Promise.all([source?.stop(), target?.stop()]);
  rmSync(state, { recursive: true, force: true });
});

const quiet = { signal: new AbortController().signal, onEvent: () => undefined };

function optionsOf(name: string, more: Partial<MigrateOptions>): MigrateOptions {
  return {
    ...PLAIN,
    from: source.uri,
    to: target.uri,
    run: name,
    state,
    include: [name],
    chunkMb: 4,
    retryForSeconds: 30,
    ...more,
  };
}

/** A run in this process, with what it told. */
class Living {
  readonly rounds: SyncRound[] = [];
  latest: MigrateStatus | undefined;
  #failure: unknown;
  readonly #stop = new AbortController();
  readonly #ended: Promise<unknown>;

  constructor(options: MigrateOptions) {
    this.#ended = run(options, { signal: this.#stop.signal, onEvent: (event) => this.#hear(event) }).catch((error) => {
      if (error.code !== 'GW8001') this.#failure = error;
    });
  }

  async until(what: string, holds: () => boolean): Promise<void> {
    await waitFor(
      () => {
        if (this.#failure !== undefined) throw this.#failure;
        return holds();
      },
      { timeoutMs: 60_000, what },
    );
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#ended;
    if (this.#failure !== undefined) throw this.#failure;
  }

  #hear(event: RunEvent): void {
    if (event.type === 'status') this.latest = event.status;
    else if (event.type === 'event' && event.kind === 'sync-round')
      this.rounds.push(event.data as unknown as SyncRound);
  }
}

test('rounds move what there is, say what they moved and how far behind they leave the target', async () => {
  const name = 'rounds';
  const from = (await source.client()).db(name).collection<Document>('c');
  const to = (await target.client()).db(name).collection('c');
  await from.insertMany(Array.from({ length: 500 }, (_, i) => ({ _id: i }) as Document));
  const living = new Living(optionsOf(name, { sync: { every: 4 } }));
  try {
    await living.until('the proof', () => living.latest?.phase === 'verified' && living.latest.sync.state === 'idle');
    const { sync } = living.latest as MigrateStatus;
    expect(sync).toMatchObject({ mode: 'periodic', schedule: 'every 4 s', state: 'idle' });
    expect(Date.parse(sync.nextAt ?? '')).toBeGreaterThan(Date.now() - 1_000);

    // Written while it is idle: nothing of it arrives before the next round.
    await living.until('a round to have just ended', () => {
      const last = living.rounds.at(-1);
      return last !== undefined && Date.parse(last.startedAt) + last.seconds * 1000 > Date.now() - 1_000;
    });
    const number = living.rounds.length;
    for (let i = 0; i < 50; i += 1) await from.insertOne({ _id: `new-${i}`, pad: 'x'.repeat(1_000) } as Document);
    expect(living.rounds.length).toBe(number);
    expect(await to.countDocuments()).toBe(500);
    await living.until('the next round', () => living.rounds.length > number);
    expect(await to.countDocuments()).toBe(550);
    const round = living.rounds[number] as SyncRound;
    expect(round).toMatchObject({ number: number + 1, why: 'due', reason: null, cutShort: null });
    expect(round.entries).toBeGreaterThanOrEqual(50);
    expect(round.applied).toBeGreaterThanOrEqual(50);
    expect(round.bytes).toBeGreaterThan(50_000);
    expect(round.behind).toMatchObject({ events: 0, bytes: 0, seconds: 0 });

    // A command needs the present, and gets it at once.
    await from.insertOne({ _id: 'last' } as Document);
    const verdict = await command('verify', { state, run: name }, {}, quiet);
    expect(verdict).toMatchObject({ phase: 'verified' });
    expect(await to.countDocuments()).toBe(551);
  } finally {
    await living.stop();
  }
  expect(status(state, name).sync).toMatchObject({ mode: 'periodic', state: 'idle', rounds: living.rounds.length });
  const report = readFileSync(join(state, name, 'report.html'), 'utf8');
  expect(report).toContain(`Changes were carried in rounds: ${living.rounds.length} so far`);

  // Another process keeps to the schedule, then cuts over in real time.
  await run(optionsOf(name, { sync: { every: 3600 }, until: 'following' }), quiet);
  await from.insertOne({ _id: 'before the cutover' } as Document);
  const answer = await command('cutover', optionsOf(name, { sync: { every: 3600 } }), {}, quiet);
  expect(answer.phase).toBe('switched');
  expect(await to.countDocuments()).toBe(552);
  const comparison = await compareClusters(source.uri, target.uri, { include: (db) => db === name });
  expect(comparison.differences).toEqual([]);
});

test('outside its hours nothing moves; what is behind is counted', async () => {
  const name = 'hours';
  const from = (await source.client()).db(name).collection<Document>('c');
  const to = (await target.client()).db(name).collection('c');
  await from.insertMany(Array.from({ length: 100 }, (_, i) => ({ _id: i }) as Document));
  // An hour that begins in two.
  const hour = new Date().getHours() * 60;
  const syncHours = { from: (hour + 120) % 1440, to: (hour + 180) % 1440 };
  const living = new Living(optionsOf(name, { sync: { every: 1 }, syncHours }));
  try {
    await living.until('the copy', () => living.latest?.phase === 'following' && living.latest.sync.state === 'idle');
    await from.insertMany(Array.from({ length: 40 }, (_, i) => ({ _id: `new-${i}` }) as Document));
    await living.until('what is behind to be counted', () => (living.latest?.sync.behind?.events ?? 0) > 0);
    const { sync, phase } = living.latest as MigrateStatus;
    expect(phase).toBe('following');
    expect(sync.behind?.bytes).toBeGreaterThan(1_000);
    expect(Date.parse(sync.nextAt ?? '')).toBeGreaterThan(Date.now() + 30 * 60_000);
    expect(living.rounds).toEqual([]);
    expect(await to.countDocuments()).toBe(100);
  } finally {
    await living.stop();
  }
});

test('a round comes out of turn when the log of the source would not wait', { timeout: 240_000 }, async () => {
  await using small = await startReplicaSet({ name: 'small', oplogSizeMB: 16 });
  const name = 'urgent';
  const client = await small.client();
  await client
    .db(name)
    .collection<Document>('c')
    .insertOne({ _id: 'first' } as Document);
  const living = new Living(optionsOf(name, { from: small.uri, sync: { every: 100 } }));
  try {
    await living.until('the proof', () => living.latest?.phase === 'verified' && living.latest.sync.state === 'idle');
    await client
      .db(name)
      .collection<Document>('c')
      .insertOne({ _id: 'second' } as Document);
    const pad = 'n'.repeat(256 * 1024);
    await waitFor(
      async () => {
        await client.db('neighbour').collection('c').insertOne({ pad });
        await client.db('admin').command({ fsync: 1 });
        return living.rounds.some(({ why }) => why === 'log-would-be-forgotten');
      },
      { timeoutMs: 90_000, intervalMs: 200, what: 'a round out of turn' },
    );
    const round = living.rounds.find(({ why }) => why === 'log-would-be-forgotten');
    expect(round?.reason).toMatch(/is about to forget what comes next/);
    expect(await (await target.client()).db(name).collection('c').countDocuments()).toBe(2);
    expect(living.latest?.fault).toBeNull();
  } finally {
    await living.stop();
  }
});

test('a round keeps to its rate', async () => {
  const name = 'rate';
  const from = (await source.client()).db(name).collection<Document>('c');
  await from.insertOne({ _id: 'first' } as Document);
  await run(optionsOf(name, { until: 'copied' }), quiet);
  const pad = 'x'.repeat(50_000);
  for (let i = 0; i < 60; i += 1) await from.insertOne({ _id: i, pad } as Document);
  const living = new Living(optionsOf(name, { sync: { every: 3600 }, syncMaxMbps: 1 }));
  try {
    await living.until('the round', () => living.rounds.length > 0);
    const [round] = living.rounds as [SyncRound];
    expect(round.bytes).toBeGreaterThan(3_000_000);
    expect(round.bytes / 1e6 / round.seconds).toBeLessThan(1.5);
  } finally {
    await living.stop();
  }
});
