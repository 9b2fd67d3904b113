/**
 * Commands that reach a run while it works: another process asks through the
 * state, the process that runs it answers, also in the middle of a copy.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { GodwitError } from '../../../src/kernel/errors.ts';
import type { CommandName, CommandResult, MigrateOptions } from '../../../src/routes/migrate/api.ts';
import { command, run, status } from '../../../src/routes/migrate/index.ts';
import { type ReplicaSet, startReplicaSet, waitFor } from '../../servers/index.ts';
import { PLAIN } from './plain-options.ts';

let source: ReplicaSet;
let target: ReplicaSet;
let state: string;

beforeAll(async () => {
  [source, target] = await Promise.all([startReplicaSet({ name: 'from' }), startReplicaSet({ name: 'to' })]);
  state = mkdtempSync(join(tmpdir(), 'godwit-control-'));
});

afterAll(async () => {
  await Promise.all([source.stop(), target.stop()]);
  rmSync(state, { recursive: true, force: true });
});

const quiet = { signal: new AbortController().signal, onEvent: () => undefined };

function optionsOf(name: string, more: Partial<MigrateOptions> = {}): MigrateOptions {
  return {
    ...PLAIN,
    from: source.uri,
    to: target.uri,
    run: name,
    state,
    include: [name],
    ...more,
  };
}

async function fill(name: string, documents: number): Promise<void> {
  const client = await source.client();
  const docs = Array.from({ length: documents }, (_, n) => ({ n, text: 'x'.repeat(1000) }));
  await client.db(name).collection('things').insertMany(docs);
}

function ask(name: string, what: CommandName): Promise<CommandResult> {
  return command(what, { state, run: name }, {}, quiet);
}

test('pause, resume and what does not fit are answered in the middle of a copy', async () => {
  await fill('paused', 8_000);
  const running = run(optionsOf('paused', { maxMbps: 2, until: 'verified' }), quiet);
  await waitFor(async () => statusOf('paused')?.phase === 'copying' && (statusOf('paused')?.copy.docs ?? 0) > 0, {
    timeoutMs: 30_000,
    what: 'the copy to be under way',
  });

  expect((await ask('paused', 'pause')).already).toBe(false);
  expect((await ask('paused', 'pause')).already).toBe(true);
  // What `status` tells is published a few times a second.
  await waitFor(async () => statusOf('paused')?.paused?.includes('pause'), {
    timeoutMs: 30_000,
    what: 'the status to say that the run is paused',
  });
  const refused = await ask('paused', 'confirm').catch((error: unknown) => error);
  expect(refused).toBeInstanceOf(GodwitError);
  expect((refused as GodwitError).code).toBe('GW1004');
  expect(statusOf('paused')?.phase).toBe('copying');

  expect((await ask('paused', 'resume')).already).toBe(false);
  expect((await running).phase).toBe('verified');
});

test('cancel ends a copy; the source is untouched and the run says so', async () => {
  await fill('cancelled', 8_000);
  const running = run(optionsOf('cancelled', { maxMbps: 1 }), quiet);
  await waitFor(async () => statusOf('cancelled')?.phase === 'copying', {
    timeoutMs: 30_000,
    what: 'the copy to begin',
  });

  expect((await ask('cancelled', 'cancel')).phase).toBe('cancelled');
  expect((await running).phase).toBe('cancelled');
  expect(statusOf('cancelled')?.runner.alive).toBe(false);
  expect(await (await source.client()).db('cancelled').collection('things').countDocuments()).toBe(8_000);
});

test('a second process is refused, and status is published with a consistent moment', async () => {
  await fill('lonely', 500);
  const stop = new AbortController();
  const running = run(optionsOf('lonely'), { ...quiet, signal: stop.signal });
  await waitFor(async () => statusOf('lonely')?.phase === 'verified', { timeoutMs: 30_000, what: 'a proof' });
  await waitFor(async () => statusOf('lonely')?.log.consistentAt, { timeoutMs: 10_000, what: 'a consistent moment' });

  const second = await run(optionsOf('lonely'), quiet).catch((error: unknown) => error);
  expect((second as GodwitError).code).toBe('GW7001');

  stop.abort(new GodwitError('GW8001', 'The test is over'));
  const ended = await running.catch((error: unknown) => error);
  expect((ended as GodwitError).code).toBe('GW8001');
});

function statusOf(name: string) {
  try {
    return status(state, name);
  } catch (error) {
    // The run comes into being while it is waited for.
    if (error instanceof GodwitError && error.code === 'GW1002') return undefined;
    throw error;
  }
}
