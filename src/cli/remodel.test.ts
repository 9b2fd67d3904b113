import { describe, expect, test } from 'vitest';
import type { RemodelResult, RemodelStatus } from '../routes/remodel/api.ts';
import { makePaint } from './paint.ts';
import { runProgram } from './program.ts';
import type { RemodelRoute } from './remodel-route.ts';
import { visibleLength } from './view/layout.ts';
import { remodelStatusBlock } from './view/remodel-status-block.ts';

const ADDRESS = ['--definition', 'm.js', '--db', 'postgres://u:secret@h/d'];
const RESULT: RemodelResult = {
  version: 1,
  route: 'remodel',
  command: 'ramp',
  remodel: 'subs',
  phase: 'dual',
  epoch: 3,
  already: false,
  dryRun: false,
  message: 'well',
  ok: true,
};

async function remodel(words: readonly string[], route: Partial<RemodelRoute> = {}) {
  const said = { out: '', err: '' };
  const code = await runProgram(['remodel', ...words], {
    io: {
      out: (text) => {
        said.out += text;
      },
      err: (text) => {
        said.err += text;
      },
      env: {},
      isTerminal: false,
      isErrTerminal: false,
      size: () => ({ columns: 80, rows: 24 }),
    },
    signal: new AbortController().signal,
    version: '1.2.3',
    loadMigrate: () => Promise.reject(new Error('another route')),
    loadRelocate: () => Promise.reject(new Error('not asked for')),
    loadRemodel: async () => route as RemodelRoute,
    loadProtect: () => import('../routes/protect/index.ts'),
    loadAdapt: () => Promise.reject(new Error('another part')),
    loadRegistry: () => Promise.reject(new Error('another route')),
    loadRehearse: () => Promise.reject(new Error('another route')),
  });
  return { code, ...said };
}

/** What reaches the route. */
async function given(...words: readonly string[]) {
  let seen: readonly unknown[] = [];
  const answer = await remodel([...words, ...ADDRESS], {
    command: async (name, options, args) => {
      seen = [name, options, args];
      return RESULT;
    },
  });
  expect(answer).toMatchObject({ code: 0, err: '' });
  const [name, options, args] = seen as [string, object, object];
  return { name, options, args: Object.fromEntries(Object.entries(args).filter(([, value]) => value)) };
}

describe('godwit remodel', () => {
  test.each([
    'init',
    'check',
    'create',
    'ramp',
    'status',
    'seal',
    'backfill',
    'verify',
    'reads',
    'contract',
    'retire',
    'rollback',
    'doctor',
    'relay',
    'drop',
  ])('help of %s has an example', async (name) => {
    const { code, out } = await remodel([name, '--help']);
    expect(code).toBe(0);
    expect(out).toContain(`Example:\n  godwit remodel ${name}`);
  });

  test('words and flags become arguments', async () => {
    expect(await given('ramp', '5%')).toMatchObject({ name: 'ramp', args: { share: 500 } });
    expect(await given('ramp', 'auto', '--soak', '5m')).toMatchObject({
      args: { share: 'auto' },
      options: { soakSeconds: 300 },
    });
    expect((await given('reads', '10%')).args).toEqual({ share: 1_000 });
    expect((await given('reads', 'shadow', '5%')).args).toEqual({ shadow: 500 });
    expect((await given('reads', 'shadow', '5%', '10%')).args).toEqual({ share: 1_000, shadow: 500 });
    expect((await given('backfill', '--part', '2/4')).args).toEqual({ part: { index: 2, count: 4 } });
    expect((await given('retire', '--trap', 'refuse')).args).toEqual({ trap: 'refuse' });
    expect((await given('retire', '--confirm', 'customers')).args).toEqual({ confirm: 'customers' });
    expect((await given('rollback', '--to', 'created')).args).toEqual({ to: 'created' });
    expect((await given('doctor', '--guard', 'reject', '--accept-shape')).args).toEqual({
      guard: 'reject',
      acceptShape: true,
    });
    expect(await given('drop', '--dry-run')).toMatchObject({ options: { dryRun: true } });
  });

  test.each([
    [['ramp']],
    [['ramp', '5']],
    [['ramp', '200%']],
    [['reads', 'shadow']],
    [['rollback', '--to', 'nowhere']],
    [['retire', '--trap', 'ask']],
    [['backfill', '--part', '5/4']],
    [['verify', '--engine', 'abacus']],
  ])('%j is refused before anything is loaded', async (words) => {
    const answer = await remodel([...words, ...ADDRESS, '--json']);
    expect(answer.code).toBe(2);
    expect(JSON.parse(answer.out).error.code).toBe('GW1001');
    expect(answer.out).not.toContain('secret');
  });

  test('bad news is an answer with an exit code: a closed gate, a difference, a refuted definition', async () => {
    const codeOf = async (result: Partial<RemodelResult>, command: string) =>
      (await remodel([command, ...ADDRESS], { command: async () => ({ ...RESULT, ...result }) })).code;
    expect(await codeOf({ command: 'seal', dryRun: true, ok: false }, 'seal')).toBe(6);
    expect(await codeOf({ command: 'verify', ok: false }, 'verify')).toBe(6);
    expect(await codeOf({ command: 'check', ok: false }, 'check')).toBe(2);
    expect(await codeOf({}, 'verify')).toBe(0);
  });

  test('events are lines for people, and nothing in JSON but the one answer', async () => {
    const route: Partial<RemodelRoute> = {
      command: async (_name, _options, _args, hooks) => {
        hooks.onEvent({ type: 'event', at: '2026-03-01T01:02:03Z', kind: 'x', message: 'half way', data: {} });
        return RESULT;
      },
    };
    expect((await remodel(['seal', ...ADDRESS], route)).out).toBe('01:02:03Z half way\nwell  [subs: dual]\n');
    expect((await remodel(['seal', ...ADDRESS, '--json'], route)).out).toBe(`${JSON.stringify(RESULT)}\n`);
  });

  test('init needs no definition', async () => {
    const answer = await remodel(['init', '--db', 'postgres://h/d', '--table', 'customers'], {
      init: async (_options, args) => ({ ...RESULT, command: 'init', message: String(args.table) }),
    });
    expect(answer).toMatchObject({ code: 0, out: 'customers  [subs: dual]\n' });
  });
});

const STATUS: RemodelStatus = {
  version: 1,
  route: 'remodel',
  remodel: 'subs',
  at: '2026-03-01T01:02:03Z',
  db: 'postgres://u:***@h/d',
  from: 'customers',
  to: ['customers_v2', 'subscriptions'],
  phase: 'dual',
  control: { phase: 'dual', epoch: 7, ramp: 2_500, reads: 0, shadow: 0, guard: 'capture', definition: 'd' },
  backlog: {
    pending: 12,
    oldestMs: 80,
    dirty: 0,
    quarantined: 1,
    lossy: 3,
    owned: 240,
    tombstones: 2,
    oldRows: 1_000,
  },
  shadow: { same: 0, pending: 0, confirmed: 0, failed: 0 },
  leases: [
    { process: 'a', host: 'h', role: 'application', epoch: 7, definition: 'd', ageMs: 100 },
    { process: 'b', host: 'h', role: 'application', epoch: 6, definition: 'd', ageMs: 100 },
    { process: 'c', host: 'h', role: 'relay', epoch: 1, definition: 'd', ageMs: 9_000 },
  ],
  next: { phase: 'sealed', gates: [{ name: 'the ramp is at 100 %', holds: false, measured: '25 %' }] },
  audit: [
    { at: '2026-03-01T01:02:00Z', event: 'ramp', epoch: 7, data: { ramp: 2_500 } },
    { at: '2026-03-01T01:01:00Z', event: 'phase', epoch: 2, data: { from: 'created', to: 'dual' } },
  ],
};

test('status is one screen', () => {
  const lines = remodelStatusBlock(STATUS, { columns: 120, rows: 40, paint: makePaint(false) });
  expect(lines.join('\n')).toBe(`subs  dual  customers → customers_v2, subscriptions
✔ created ─ ● dual ─ ○ sealed ─ ○ backfilling ─ ○ verified ─ ○ reads ─ ○ new-only ─ ○ trapped ─ ○ retired

ramp   ██████░░░░░░░░░░░░░░░░░░ 25 %   240 owned of about 1.00 k   epoch 7
reads  ░░░░░░░░░░░░░░░░░░░░░░░░ 0 %   guard: capture
queue  12 wait   oldest 80 ms   0 past the library   1 in quarantine   3 lossy   2 tombstones
alive  2 application   1 not on this epoch yet

to sealed
  ✗ the ramp is at 100 %  25 %

lately
  01:02:00Z ramp 25 %
  01:01:00Z created → dual`);
});

test.each([20, 40, 80, 200])('no line is longer than a terminal of %i columns', (columns) => {
  for (const status of [STATUS, { ...STATUS, phase: 'draft', control: null, backlog: null, next: null } as const]) {
    const lines = remodelStatusBlock(status, { columns, rows: 40, paint: makePaint(true) });
    for (const line of lines) expect(visibleLength(line)).toBeLessThanOrEqual(columns);
  }
});
