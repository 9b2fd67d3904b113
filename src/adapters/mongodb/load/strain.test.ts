import { describe, expect, test } from 'vitest';
import { type MemberLoad, measured } from './member-load.ts';
import { NO_STRAIN, strainOf } from './strain.ts';

const member = (over: Partial<MemberLoad> = {}): MemberLoad => ({
  cluster: 'source',
  address: 'old-2:27017',
  state: 'secondary',
  lagSeconds: 0,
  queued: 0,
  processor: 20,
  tickets: 5,
  dirty: 2,
  flowControl: false,
  ...over,
});

/** What the last of several looks says. */
function strainAfter(looks: readonly (readonly MemberLoad[])[], maxSourceLoad?: number) {
  let state = NO_STRAIN;
  let strain = {};
  for (const look of looks) ({ strain, state } = strainOf(state, look, maxSourceLoad));
  return strain;
}

describe('members are strained', () => {
  test('not, while they are well', () => {
    expect(strainAfter([[member(), member({ cluster: 'target', state: 'primary' })]])).toEqual({});
  });

  test('when one falls back further; not while it catches up or is behind on purpose', () => {
    const at = (lagSeconds: number) => [member({ cluster: 'target', lagSeconds })];
    expect(strainAfter([at(12)])).toEqual({ slower: 'target old-2:27017 (secondary) is 12 s behind and falls back' });
    expect(strainAfter([at(12), at(14)])).toMatchObject({ slower: /14 s behind/ });
    expect(strainAfter([at(12), at(12)])).toEqual({});
    expect(strainAfter([at(30), at(20)])).toEqual({});
    expect(strainAfter([at(9)])).toEqual({});
  });

  test('when operations queue at two looks in a row', () => {
    const queue = [member({ queued: 30, state: 'primary' })];
    expect(strainAfter([queue])).toEqual({});
    expect(strainAfter([queue, queue])).toEqual({ slower: '30 operations queue at source old-2:27017 (primary)' });
    expect(strainAfter([queue, [member()], queue])).toEqual({});
  });

  test('when the primary holds writers back, or the cache of the source is dirty', () => {
    expect(strainAfter([[member({ flowControl: true, cluster: 'target', state: 'primary' })]])).toMatchObject({
      slower: /target .* holds its writers back/,
    });
    expect(strainAfter([[member({ dirty: 17 })]])).toMatchObject({
      slower: '17 % of the cache of source old-2:27017 (secondary) is dirty',
    });
    expect(strainAfter([[member({ dirty: 17, cluster: 'target' })]])).toEqual({});
  });

  test('when the source is busier than allowed; near that it gets no faster', () => {
    const busy = (processor: number, tickets = 5) => [member({ processor, tickets })];
    expect(strainAfter([busy(95)])).toEqual({});
    expect(strainAfter([busy(75)], 70)).toEqual({
      slower: 'source old-2:27017 (secondary) is 75 % busy (processor), --max-source-load 70',
    });
    expect(strainAfter([busy(10, 80)], 70)).toMatchObject({ slower: /80 % busy \(tickets of the storage engine\)/ });
    expect(strainAfter([busy(65)], 70)).toMatchObject({ hold: /65 % busy/ });
    expect(strainAfter([busy(50)], 70)).toEqual({});
    expect(strainAfter([[member({ cluster: 'target', processor: 99 })]], 70)).toEqual({});
  });
});

test('load is measured between two answers of the server', () => {
  const status = {
    globalLock: { currentQueue: { total: 9, readers: 4, writers: 5 } },
    wiredTiger: {
      concurrentTransactions: { read: { out: 32, totalTickets: 128 }, write: { out: 96, totalTickets: 128 } },
      cache: { 'maximum bytes configured': 1000, 'tracked dirty bytes in the cache': 120 },
    },
    flowControl: { isLagged: true },
  };
  const before = { atMs: 0, processorMicros: 1_000_000 };
  const now = { atMs: 2_000, processorMicros: 3_000_000 };
  expect(measured(status, before, now, 4)).toEqual({
    queued: 9,
    processor: 25,
    tickets: 75,
    dirty: 12,
    flowControl: true,
  });
  expect(measured(status, undefined, now, 4)).not.toHaveProperty('processor');
  // The server was started again.
  expect(measured(status, { atMs: 0, processorMicros: 9_000_000 }, now, 4)).not.toHaveProperty('processor');
});
