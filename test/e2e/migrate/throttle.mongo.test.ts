/** The copy is slowed down by what any member of either side suffers from, and says which and why. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { MigrateOptions, RunEvent } from '../../../src/routes/migrate/api.ts';
import { run } from '../../../src/routes/migrate/index.ts';
import { type Member, type ReplicaSet, startReplicaSet, waitFor } from '../../servers/index.ts';
import { PLAIN } from './plain-options.ts';

let source: ReplicaSet;
let target: ReplicaSet;
let state: string;

beforeAll(async () => {
  [source, target] = await Promise.all([
    startReplicaSet({ name: 'from', members: 2, memberConfig: [{ priority: 2 }, { priority: 0 }] }),
    startReplicaSet({
      name: 'to',
      members: 3,
      testCommands: true,
      memberConfig: [{ priority: 2 }, {}, { priority: 0, hidden: true }],
    }),
  ]);
  state = mkdtempSync(join(tmpdir(), 'godwit-throttle-'));
});
afterAll(async () => {
  await Promise.all([source?.stop(), target?.stop()]);
  rmSync(state, { recursive: true, force: true });
});

/** Copies under watch until a reason is told that matches; then stops. Gives every reason told. */
async function reasonsUntil(name: string, wanted: RegExp, more: Partial<MigrateOptions>): Promise<string[]> {
  const stopping = new AbortController();
  const reasons: string[] = [];
  const onEvent = (event: RunEvent): void => {
    if (event.type === 'status' && event.status.throttled !== null) reasons.push(event.status.throttled);
  };
  const running = run(
    {
      ...PLAIN,
      from: source.uri,
      to: target.uri,
      run: name,
      state,
      include: ['shop'],
      rename: [`shop=${name}`],
      chunkMb: 4,
      throttle: 'auto',
      until: 'copied',
      ...more,
    },
    { signal: stopping.signal, onEvent },
  );
  const ended = running.then(
    () => 'it ended',
    (error: { code?: string }) => error.code,
  );
  try {
    await waitFor(() => reasons.some((reason) => wanted.test(reason)), {
      timeoutMs: 60_000,
      what: `a reason like ${String(wanted)}; told were ${JSON.stringify([...new Set(reasons)])}`,
    });
  } finally {
    stopping.abort();
    expect(await ended).toBe('GW8001');
  }
  return reasons;
}

test('--max-source-load, and a hidden member of the target that falls back', { timeout: 240_000 }, async () => {
  const shop = (await source.client()).db('shop');
  const pad = 'x'.repeat(10_000);
  for (let i = 0; i < 6; i += 1)
    await shop.collection('orders').insertMany(Array.from({ length: 1_000 }, () => ({ pad })));

  // Whatever moves 8 MB/s is busier than one percent.
  const slowed = /--max-source-load 1; copy at [1-4]\.\d MB\/s$/;
  const busy = await reasonsUntil('busy', slowed, { maxSourceLoad: 1, maxMbps: 8 });
  const members = source.members.map(({ address }) => address).join('|');
  expect(busy.find((reason) => slowed.test(reason))).toMatch(
    new RegExp(
      `^source (${members}) \\((primary|secondary)\\) is \\d+ % busy \\((processor|tickets of the storage engine)\\), `,
    ),
  );

  const hidden = target.members[2] as Member;
  const admin = (await hidden.client()).db('admin');
  await admin.command({ configureFailPoint: 'stopReplProducer', mode: 'alwaysOn' });
  try {
    const late = await reasonsUntil('late', /behind and falls back/, { maxMbps: 1.5 });
    expect(late.find((reason) => reason.includes('falls back'))).toMatch(
      new RegExp(`^target ${hidden.address} \\(secondary\\) is \\d+ s behind and falls back; copy at 1\\.0 MB/s$`),
    );
  } finally {
    await admin.command({ configureFailPoint: 'stopReplProducer', mode: 'off' });
  }
});
