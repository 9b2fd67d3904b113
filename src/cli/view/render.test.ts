import { describe, expect, test, vi } from 'vitest';
import type { CheckReport, MigrateStatus } from '../../routes/migrate/api.ts';
import { count, dataSize, memorySize, percent, printable, timeSpan } from '../../routes/migrate/report/format.ts';
import { makePaint, wantsColour } from '../paint.ts';
import { checkText } from './check-text.ts';
import { bar, clip, column, visibleLength } from './layout.ts';
import { openLiveBlock } from './live-block.ts';
import { eventLine, statusLine } from './plain-lines.ts';
import { resultText } from './result-text.ts';
import { openRunView } from './run-view.ts';
import { statusBlock } from './status-block.ts';

const plain = makePaint(false);

function status(changes: Partial<MigrateStatus> = {}): MigrateStatus {
  const collection = (namespace: string, state: 'copying' | 'waiting' | 'ready', done: number, total: number) =>
    ({
      namespace,
      target: namespace,
      state,
      docs: done,
      docsTotal: total,
      bytes: done * 1e6,
      bytesTotal: total * 1e6,
    }) as const;
  return {
    version: 1,
    route: 'migrate',
    run: 'shop',
    phase: 'copying',
    at: '2026-03-01T12:02:14.000Z',
    startedAt: '2026-03-01T12:00:00.000Z',
    runner: { alive: true, pid: 1 },
    paused: null,
    throttled: null,
    from: 'mongodb://a/',
    to: 'mongodb://b/',
    copy: {
      docs: 738_000,
      docsTotal: 1_531_000,
      bytes: 812e6,
      bytesTotal: 1.69e9,
      mbPerSecond: 48.31,
      docsPerSecond: 41_200,
      secondsLeft: 18,
      collections: [
        collection('shop.done', 'ready', 100, 100),
        collection('shop.orders', 'copying', 400, 800),
        collection('shop.a_collection_with_a_rather_long_name', 'copying', 312, 600),
        collection('shop.late', 'waiting', 0, 190),
      ],
    },
    log: {
      spooledTo: null,
      appliedTo: null,
      spoolBytes: 24.4e6,
      entriesApplied: 0,
      entriesPerSecond: 0,
      lagSeconds: null,
      consistentAt: null,
    },
    verify: { state: 'none', at: null, docs: 0, docsTotal: 0, drift: 0 },
    sync: {
      mode: 'real-time',
      schedule: null,
      hours: null,
      state: 'real-time',
      nextAt: null,
      rounds: 0,
      last: null,
      behind: null,
    },
    freeze: null,
    cutover: { fence: null, stallMs: null, switchedAt: null },
    resync: null,
    fault: null,
    ...changes,
  };
}

const switched = status({
  phase: 'switched',
  log: { ...status().log, entriesApplied: 1_234_567, entriesPerSecond: 2_900, lagSeconds: 0.21 },
  verify: { state: 'equal', at: '2026-03-01T12:01:58Z', docs: 1_531_000, docsTotal: 1_531_000, drift: 0 },
  cutover: { fence: 'roles', stallMs: 412, switchedAt: '2026-03-01T12:02:03Z' },
});

const troubled = status({
  throttled: 'neighbours 1.31 × slower (limit 1.25 ×)',
  fault: { code: 'GW3002', message: 'The primary changed\u001b[2J', since: '2026-03-01T12:02:10.000Z' },
  runner: { alive: false, pid: null },
});

function drawn(of: MigrateStatus, columns: number, rows = 24): string {
  const lines = statusBlock(of, { columns, rows, paint: plain });
  for (const line of lines) expect(visibleLength(line)).toBeLessThanOrEqual(columns);
  return `\n${lines.join('\n')}\n`;
}

describe('the live block', () => {
  test('while copying', () =>
    expect(drawn(status(), 100)).toMatchInlineSnapshot(`
      "
      shop  copying  the log is kept meanwhile                                                  2 min 14 s
      ● snapshot ── ● follow ── ○ apply ── ○ verify ── ○ cutover ── ○ cleanup

      copy   ███████████▌░░░░░░░░░░░░ 48 %   812 MB of 1.69 GB   48.3 MB/s   18 s left   41.2 k docs/s
        shop.orders                      ██████░░░░░░  50 %  copying   400 MB of 800 MB
        shop.a_collecti…rather_long_name ██████▏░░░░░  52 %  copying   312 MB of 600 MB
        shop.late                        ░░░░░░░░░░░░   0 %  waiting   0 B of 190 MB
        shop.done                        ████████████ 100 %  ready     100 MB of 100 MB
      log    kept, applied after the copy   spool 24.4 MB
      "
    `));
  test('on a narrow and low terminal', () =>
    expect(drawn(status(), 44, 11)).toMatchInlineSnapshot(`
      "
      shop  copying  the log is kept meanwhile
      ● snapshot─● follow─○─○─○─○

      copy   48 %   812 MB of 1.69 GB   48.3 MB/s
        shop.orders     50 %  copying 
        shop.a…ng_name  52 %  copying 
        and 2 more: 1 waiting, 1 ready
      log    kept, applied after the copy
      "
    `));
  test('after the switch', () =>
    expect(drawn(switched, 100)).toMatchInlineSnapshot(`
      "
      shop  switched  applications use the target; rollback is possible                         2 min 14 s
      ✔ snapshot ── ✔ follow ── ✔ apply ── ✔ verify ── ✔ cutover ── ○ cleanup

      copy   ███████████▌░░░░░░░░░░░░ 48 %   812 MB of 1.69 GB   738 k docs
      log    lag 210 ms   spool 24.4 MB   1.23 M entries applied   2.90 k/s
      verify equal   1.53 M docs compared   at 12:01:58Z
      cut    switched at 12:02:03Z   writes were refused for 412 ms   fence roles
      "
    `));
  test('with throttle, fault and no process', () =>
    expect(drawn(troubled, 90, 8)).toMatchInlineSnapshot(`
      "
      shop  copying  the log is kept meanwhile                                        2 min 14 s
      ● snapshot ── ● follow ── ○ apply ── ○ verify ── ○ cutover ── ○ cleanup

      copy   ██████▋░░░░░░░ 48 %   812 MB of 1.69 GB   48.3 MB/s   18 s left   41.2 k docs/s
        and 4 more: 2 copying, 1 waiting, 1 ready
      log    kept, applied after the copy   spool 24.4 MB
      throttled: neighbours 1.31 × slower (limit 1.25 ×)
      waiting out GW3002 for 4.0 s: The primary changed [2J
      no process works on this run now; \`godwit migrate run\` goes on
      "
    `));
  test.each([1, 2, 7, 20, 33, 61, 79, 200])('fits %i columns, in colour too', (columns) => {
    for (const of of [status(), switched, troubled]) {
      const lines = statusBlock(of, { columns, rows: 5, paint: makePaint(true) });
      for (const line of lines) expect(visibleLength(line)).toBeLessThanOrEqual(columns);
    }
  });
});

test('plain lines', () => {
  expect([statusLine(status()), statusLine(switched), statusLine(troubled)].join('\n')).toMatchInlineSnapshot(`
    "12:02:14Z shop copying, 48 % (812 MB of 1.69 GB), 48.3 MB/s, 41.2 k docs/s, 18 s left, spool 24.4 MB
    12:02:14Z shop switched, lag 210 ms, spool 24.4 MB, proved equal, stall 412 ms
    12:02:14Z shop copying, 48 % (812 MB of 1.69 GB), 48.3 MB/s, 41.2 k docs/s, 18 s left, spool 24.4 MB, throttled: neighbours 1.31 × slower (limit 1.25 ×), waiting out GW3002: The primary changed [2J"
  `);
  expect(
    eventLine({
      type: 'event',
      at: '2026-03-01T12:02:10Z',
      kind: 'fault',
      data: { code: 'GW3002', wait: null, lines: ['a\nb'] },
    }),
  ).toMatchInlineSnapshot(`"12:02:10Z fault code=GW3002 lines=["a\\nb"]"`);
  expect(
    eventLine({
      type: 'event',
      at: '2026-03-01T12:02:10Z',
      kind: 'sync-round',
      data: { number: 2, behind: { events: 12, seconds: 0 }, cutShort: null },
    }),
  ).toBe('12:02:10Z sync-round number=2 behind.events=12 behind.seconds=0');
});

test('a member that stands still, one that may be left so, and rounds', () => {
  const { sync } = status();
  const held: MigrateStatus['freeze'] = {
    member: 'old-3:27017',
    state: 'held',
    timePoint: { t: 1, i: 2 },
    timePointAt: '2026-03-01T12:02:02Z',
    lockedAt: '2026-03-01T12:02:02Z',
    heldSeconds: 12,
    behindSeconds: null,
    caughtUpSeconds: null,
    exact: true,
    cutShort: null,
  };
  const block = (of: MigrateStatus) => statusBlock(of, { columns: 140, rows: 40, paint: makePaint(false) }).join('\n');
  const frozen = { ...status(), freeze: held };
  expect(block(frozen)).toContain('frozen old-3:27017   writes stopped for 12 s   exactly 12:02:02Z');
  expect(block(frozen)).not.toContain('unfreeze');
  expect(statusLine(frozen)).toContain('old-3:27017 stands still for 12 s');
  const left = block({ ...frozen, runner: { ...frozen.runner, alive: false } });
  expect(left).toContain(`old-3:27017 may still be locked: godwit migrate unfreeze --run ${frozen.run}`);
  const cut = { ...held, state: 'caught-up', caughtUpSeconds: 3, exact: false, cutShort: 'asked for' } as const;
  expect(block({ ...frozen, freeze: cut })).toContain(
    'let go after 12 s, caught up in 3.0 s   from 12:02:02Z   cut short: asked for',
  );

  const last = {
    number: 7,
    why: 'due',
    reason: null,
    startedAt: '2026-03-01T12:00:00Z',
    seconds: 3,
    entries: 1_200,
    applied: 1_200,
    bytes: 480_000,
    behind: null,
    cutShort: null,
  } as const;
  const idle = {
    ...sync,
    mode: 'periodic',
    schedule: 'every 900 s',
    state: 'idle',
    nextAt: '2026-03-01T12:15:00Z',
    rounds: 7,
    last,
    behind: { events: 40, bytes: 9_000, seconds: 21, at: '2026-03-01T12:02:00Z' },
  } as const;
  expect(block({ ...status(), sync: idle })).toContain(
    'sync   every 900 s   next at 12:15:00Z   round 7 moved 1.20 k entries, 480 kB   behind by 40 events, 9.00 kB, 21 s',
  );
  expect(statusLine({ ...status(), sync: idle })).toContain('next round at 12:15:00Z');
});

test('check: errors first, each with its remedy, then the plan and the verdict', () => {
  const report: CheckReport = {
    version: 1,
    ok: false,
    findings: [
      { severity: 'info', check: 'versions', message: 'Both sides run 6.0.5' },
      {
        severity: 'warning',
        check: 'oplog.window',
        message: 'The oplog holds 40 min, the copy takes about 35 min',
        remedy: 'Enlarge it',
      },
      {
        severity: 'error',
        check: 'target.not-empty',
        message: 'shop.orders exists on the target',
        remedy: 'Drop it, or --rename',
      },
    ],
    plan: {
      collections: 5,
      documents: 1_531_000,
      bytes: 1.69e9,
      fence: 'roles',
      fenceReason: 'two users write to shop, both known',
      readFrom: 'secondary old-2:27017',
    },
  };
  expect(`\n${checkText(report, plain).join('\n')}\n`).toMatchInlineSnapshot(`
    "
    error   shop.orders exists on the target [target.not-empty]
            → Drop it, or --rename
    warning The oplog holds 40 min, the copy takes about 35 min [oplog.window]
            → Enlarge it
    info    Both sides run 6.0.5 [versions]

    plan
      move   5 collections, 1.53 M documents, 1.69 GB (1 MB = 10^6 bytes)
      read   secondary old-2:27017
      fence  roles: two users write to shop, both known

    not ready: 1 error to mend; nothing has been touched
    "
  `);
  expect(checkText({ ...report, ok: true, findings: [] }, plain).at(-1)).toBe('ready to run');
});

test('results name what differs, and no more than a screenful', () => {
  const drift = Array.from({ length: 22 }, (_, id) => ({
    unit: 'shop.orders',
    kind: 'missing' as const,
    key: `{"_id":${id}}`,
    sourceDigest: 'ab12',
  }));
  const lines = resultText(
    {
      version: 1,
      command: 'verify',
      run: 'shop',
      phase: 'following',
      already: false,
      message: '22 differences',
      drift,
      report: '/r/report.html',
    },
    plain,
  );
  expect([...lines.slice(0, 2), ...lines.slice(-2)].join('\n')).toMatchInlineSnapshot(`
    "22 differences
      missing   shop.orders {"_id":0}  ab12 / -
      and 2 more; --json lists all
    report: /r/report.html"
  `);
});

test('numbers', () => {
  expect([0, 999, 1000, 999_600, 24.4e6, 1.69e9].map(dataSize)).toEqual([
    '0 B',
    '999 B',
    '1.00 kB',
    '1.00 MB',
    '24.4 MB',
    '1.69 GB',
  ]);
  expect([1024, 400 * 1024 ** 2].map(memorySize)).toEqual(['1.00 KiB', '400 MiB']);
  expect([0, 12, 1234, 1_531_000].map(count)).toEqual(['0', '12', '1.23 k', '1.53 M']);
  expect([percent(0, 0), percent(999, 1000), percent(1000, 1000), percent(7, 5)]).toEqual([
    '100 %',
    '99 %',
    '100 %',
    '100 %',
  ]);
  expect([0.0123, 0.9996, 9.96, 59.7, 134, 3600, 200_000].map(timeSpan)).toEqual([
    '12 ms',
    '1.0 s',
    '10 s',
    '1 min 0 s',
    '2 min 14 s',
    '1 h 0 min',
    '2 d 7 h',
  ]);
});

test('layout', () => {
  expect([bar(0, 10, 4), bar(5, 10, 4), bar(9, 16, 4), bar(20, 10, 4), bar(0, 0, 2)]).toEqual([
    '░░░░',
    '██░░',
    '██▎░',
    '████',
    '██',
  ]);
  expect([clip('abcdef', 4), clip('abc', 4), clip('abc', 1), clip('\u001b[31mabcdef\u001b[39m', 3)]).toEqual([
    'abc…',
    'abc',
    '…',
    '\u001b[31mab\u001b[39m…\u001b[0m',
  ]);
  expect([column('abc', 5), column('database.collection', 9)]).toEqual(['abc  ', 'data…tion']);
  expect(printable('a\u001b]0;x\u0007b\u202ec')).toBe('a ]0;x b c');
});

test('colour is for terminals, unless the environment says otherwise', () => {
  expect(wantsColour({}, true)).toBe(true);
  expect(wantsColour({}, false)).toBe(false);
  expect(wantsColour({ NO_COLOR: '1' }, true)).toBe(false);
  expect(wantsColour({ NO_COLOR: '1', FORCE_COLOR: '1' }, false)).toBe(true);
  expect(wantsColour({ FORCE_COLOR: '0' }, true)).toBe(false);
  expect(wantsColour({ TERM: 'dumb' }, true)).toBe(false);
});

function fakeIo(size = { columns: 80, rows: 24 }) {
  const written: string[] = [];
  const io = {
    out: (text: string) => void written.push(text),
    err: () => {},
    env: {},
    isTerminal: false,
    isErrTerminal: false,
    size: () => size,
  };
  return { io, written, size };
}

test('the block is drawn in place, and rows that a narrower terminal wrapped are counted', () => {
  vi.useFakeTimers();
  try {
    const { io, written, size } = fakeIo();
    const block = openLiveBlock(io);
    block.draw(() => ['x'.repeat(60), 'y']);
    size.columns = 25;
    block.draw(() => ['z']);
    expect(written).toHaveLength(1);
    vi.advanceTimersByTime(100);
    expect(written[1]).toBe('\r\u001b[4Az\u001b[K\n\u001b[J');
    block.above('note');
    expect(written[2]).toBe('\r\u001b[1Anote\u001b[K\nz\u001b[K\n\u001b[J');
  } finally {
    vi.useRealTimers();
  }
});

test('without a terminal: lines every second at first, every five later, at once when something changes', () => {
  const { io, written } = fakeIo();
  const view = openRunView(io, false);
  const at = (seconds: number, changes: Partial<MigrateStatus> = {}) =>
    view.show({
      type: 'status',
      status: status({ ...changes, at: new Date(Date.parse('2026-03-01T12:00:00Z') + seconds * 1000).toISOString() }),
    });
  for (const second of [0, 0.4, 1, 1.5]) at(second);
  expect(written).toHaveLength(2);
  at(1.6, { phase: 'following' });
  expect(written).toHaveLength(3);
  for (const second of [40, 42, 44.9, 45, 46]) at(second, { phase: 'following' });
  expect(written).toHaveLength(5);
  view.close();
  expect(written).toHaveLength(6);
});
