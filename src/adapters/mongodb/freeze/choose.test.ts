import { describe, expect, test } from 'vitest';
import { judgeMembers } from './choose.ts';
import { type MemberView, type SetView, viewOf } from './members.ts';

function member(address: string, over: Partial<MemberView> = {}): MemberView {
  return {
    address,
    state: 'SECONDARY',
    healthy: true,
    hidden: false,
    priority: 1,
    votes: 1,
    arbiter: false,
    buildsIndexes: true,
    delaySeconds: 0,
    tags: {},
    lagSeconds: 0,
    syncsFrom: 'p',
    locked: false,
    ...over,
  };
}
const PRIMARY = member('p', { state: 'PRIMARY', syncsFrom: '' });

function set(members: MemberView[], over: Partial<SetView> = {}): SetView {
  const voters = members.filter((one) => one.votes > 0).length;
  const bearing = members.filter((one) => one.votes > 0 && !one.arbiter).length;
  return {
    members,
    majority: Math.min(Math.floor(voters / 2) + 1, bearing),
    defaultW: 'majority',
    modes: {},
    ...over,
  };
}

/** The one that would be taken, or why there is none: `address` or `address: why` of each. */
function taken(view: SetView): string | string[] {
  const verdicts = judgeMembers(view);
  const [first] = verdicts;
  return first?.fit ? first.address : verdicts.map(({ address, why }) => `${address}: ${why}`);
}

describe('the member that is frozen', () => {
  test('is hidden before all, then of the lowest priority, then one that nobody follows', () => {
    expect(taken(set([PRIMARY, member('a'), member('h', { hidden: true, priority: 0 })]))).toBe('h');
    expect(taken(set([PRIMARY, member('a', { priority: 2 }), member('b', { priority: 0.5 })]))).toBe('b');
    expect(taken(set([PRIMARY, member('a'), member('b', { syncsFrom: 'a' })]))).toBe('b');
    expect(taken(set([PRIMARY, member('a', { lagSeconds: 4 }), member('b', { lagSeconds: 1 })]))).toBe('b');
  });

  test('is never the primary, an arbiter, one that is behind, one that is kept behind, or one without indexes', () => {
    const view = set([
      PRIMARY,
      member('good1'),
      member('good2'),
      member('good3'),
      member('arbiter', { arbiter: true, state: 'ARBITER' }),
      member('late', { lagSeconds: 42, votes: 0 }),
      member('delayed', { delaySeconds: 3600, votes: 0, hidden: true, priority: 0 }),
      member('plain', { buildsIndexes: false, votes: 0, hidden: true, priority: 0 }),
      member('away', { healthy: false, state: '(not reachable/healthy)', votes: 0 }),
      member('busy', { state: 'RECOVERING', votes: 0 }),
    ]);
    const verdicts = new Map(judgeMembers(view).map((verdict) => [verdict.address, verdict]));
    expect([...verdicts.values()].filter(({ fit }) => fit).map(({ address }) => address)).toEqual([
      'good1',
      'good2',
      'good3',
    ]);
    expect(verdicts.get('p')?.why).toBe('it is the primary');
    expect(verdicts.get('arbiter')?.why).toBe('it is an arbiter and holds no data');
    expect(verdicts.get('late')?.why).toBe('it is 42 s behind');
    expect(verdicts.get('delayed')?.why).toBe('it is kept 3600 s behind on purpose');
    expect(verdicts.get('plain')?.why).toBe('it builds no indexes, so it does not know the structure');
    expect(verdicts.get('away')?.why).toBe('the primary cannot reach it');
    expect(verdicts.get('busy')?.why).toBe('it is RECOVERING');
  });

  test('is never one that a majority needs', () => {
    expect(taken(set([PRIMARY, member('a')]))).toEqual([
      'a: without it 1 member would be left to acknowledge majority writes, which take 2',
      'p: it is the primary',
    ]);
    // An arbiter votes, but acknowledges nothing.
    expect(taken(set([PRIMARY, member('a'), member('x', { arbiter: true, state: 'ARBITER' })]))).toContain(
      'a: without it 1 member would be left to acknowledge majority writes, which take 2',
    );
    // One of the three is down, or far behind, or late on purpose: the third is needed.
    const down = { healthy: false, state: 'DOWN' };
    for (const third of [down, { locked: true }, { lagSeconds: 60 }, { delaySeconds: 60, hidden: true, priority: 0 }])
      expect(taken(set([PRIMARY, member('a'), member('b', third)]))).toContain(
        'a: without it 1 member would be left to acknowledge majority writes, which take 2',
      );
    // One without a vote is never needed for it.
    expect(taken(set([PRIMARY, member('a'), member('b'), member('n', { votes: 0, priority: 0 })]))).toBe('n');
  });

  test('is never one that the default write concern needs', () => {
    const members = [PRIMARY, member('a', { tags: { dc: 'east' } }), member('b', { tags: { dc: 'west' } })];
    expect(taken(set(members, { defaultW: 2 }))).toBe('a');
    expect(taken(set(members, { defaultW: 3 }))).toContain(
      'a: without it 2 members would be left for the default write concern w: 3',
    );
    const modes = { both: { dc: 2 } };
    expect(taken(set(members, { defaultW: 'both', modes }))).toContain(
      'a: the default write concern both takes 2 values of the tag dc, and 1 would be left',
    );
    expect(taken(set([...members, member('c', { tags: { dc: 'east' } })], { defaultW: 'both', modes }))).toBe('a');
  });

  test('without a vote before one that index builds wait for', () => {
    const hidden = { hidden: true, priority: 0 };
    const members = [PRIMARY, member('a'), member('b'), member('h', hidden), member('v', { ...hidden, votes: 0 })];
    expect(taken(set(members))).toBe('v');
  });

  test('is never the last secondary that readers can reach', () => {
    const hidden = { hidden: true, priority: 0 };
    expect(taken(set([PRIMARY, member('a'), member('h', hidden)]))).toBe('h');
    const view = set([PRIMARY, member('a'), member('h', { ...hidden, state: 'SECONDARY', buildsIndexes: false })]);
    expect(taken(view)).toContain('a: it is the last secondary that readers can reach');
  });
});

test('is read from what the server tells', () => {
  const at = (seconds: number) => new Date(1_700_000_000_000 + seconds * 1000);
  const view = viewOf(
    {
      members: [
        { _id: 0, host: 'p:1', priority: 2, votes: 1, buildIndexes: true, tags: {} },
        { _id: 1, host: 's:1', priority: 0, hidden: true, votes: 1, secondaryDelaySecs: 5, tags: { dc: 'east' } },
      ],
      settings: { getLastErrorModes: { both: { dc: 2 } } },
    },
    {
      writeMajorityCount: 2,
      members: [
        { name: 'p:1', stateStr: 'PRIMARY', health: 1, optimeDate: at(9) },
        { name: 's:1', stateStr: 'SECONDARY', health: 1, optimeDate: at(2), syncSourceHost: 'p:1' },
      ],
    },
    { defaultWriteConcern: { w: 1, wtimeout: 0 } },
  );
  expect(view).toMatchObject({ majority: 2, defaultW: 1, modes: { both: { dc: 2 } } });
  expect(view.members[1]).toMatchObject({
    address: 's:1',
    hidden: true,
    priority: 0,
    delaySeconds: 5,
    lagSeconds: 7,
    syncsFrom: 'p:1',
    tags: { dc: 'east' },
  });
});

test('how far behind it is, by what it reports itself where that is newer than its heartbeat', () => {
  const at = (seconds: number) => new Date(1_700_000_000_000 + seconds * 1000);
  const members = ['p:1', 's:1'].map((host, _id) => ({ _id, host }));
  const lag = (seen: object) =>
    viewOf(
      { members },
      {
        members: [
          { name: 'p:1', stateStr: 'PRIMARY', health: 1, optimeDate: at(60), lastAppliedWallTime: at(60.4) },
          { name: 's:1', stateStr: 'SECONDARY', health: 1, ...seen },
        ],
      },
      undefined,
    ).members[1]?.lagSeconds;
  expect(lag({ optimeDate: at(0) })).toBeCloseTo(60.4);
  expect(lag({ optimeDate: at(0), lastAppliedWallTime: at(60.2) })).toBeCloseTo(0.2);
  expect(lag({})).toBe(Number.POSITIVE_INFINITY);
});
