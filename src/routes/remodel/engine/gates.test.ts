import { describe, expect, test } from 'vitest';
import type { Facts } from './facts.ts';
import { GATES, type Gate, type GateName, type GateSettings, look, mayOpen } from './gates.ts';

const LEASE = { process: 'a-1', host: 'a', role: 'application', epoch: 7, definition: 'd', ageMs: 100 } as const;
const CONTROL = {
  phase: 'dual',
  epoch: 7,
  ramp: 10_000,
  reads: 10_000,
  shadow: 500,
  guard: 'capture',
  definition: 'd',
} as const;
const PROOF = { byValue: true, missing: 0, extra: 0, different: 0, quarantined: 0 } as const;

/** Facts for which every gate is open. */
const GOOD: Facts = {
  control: CONTROL,
  definition: 'd',
  leases: [LEASE],
  olderTransactions: false,
  backlog: {
    pending: 0,
    oldestMs: 0,
    dirty: 0,
    quarantined: 0,
    lossy: 0,
    owned: 0,
    tombstones: 0,
    oldRows: 10,
  },
  drift: [],
  guardWorks: true,
  proofs: [PROOF, { ...PROOF, byValue: false }],
  shadow: { same: 100, pending: 3, confirmed: 0, failed: 0 },
  trap: { hits: 0, trappedMs: 60_000, lastReader: undefined },
};
const SETTINGS: GateSettings = {
  acceptLossy: false,
  lagLimitMs: 2_000,
  minShadow: 100,
  cycleMs: 60_000,
  timeoutMs: 60_000,
};
const backlog = (change: Partial<Facts['backlog']>): Partial<Facts> => ({ backlog: { ...GOOD.backlog, ...change } });
const control = (change: object): Partial<Facts> => ({ control: { ...CONTROL, ...change } });

/** Names of the gates that are closed. */
function closed(name: GateName, facts: Partial<Facts> = {}, settings: Partial<GateSettings> = {}): readonly string[] {
  const gates = look(name, { ...GOOD, ...facts }, { ...SETTINGS, ...settings });
  return gates.filter(({ holds }) => !holds).map((gate) => gate.name);
}

test.each(Object.keys(GATES) as GateName[])('all gates to %s are open when all is well', (name) => {
  expect(closed(name)).toEqual([]);
});

test('a gate asks for every fact that it looks at, and for no other', () => {
  for (const gate of Object.values(GATES).flat() as Gate[]) {
    const seen = new Set<string>();
    const watched = new Proxy(GOOD, {
      get: (facts, name) => {
        seen.add(String(name));
        return Reflect.get(facts, name);
      },
    });
    gate.look(watched, SETTINGS);
    expect([...seen].sort(), gate.name).toEqual([...gate.needs].sort());
  }
});

const INTACT: readonly [string, Partial<Facts>, string][] = [
  ['another file', { definition: 'e' }, 'every process has this definition'],
  [
    'a process with another definition',
    { leases: [{ ...LEASE, definition: 'e' }] },
    'every process has this definition',
  ],
  ['a column more', { drift: ['+ customers.x text'] }, 'the tables have the shape recorded'],
  ['a guard that sleeps', { guardWorks: false }, 'the guard catches writes past the library'],
];
describe.each(['dual', 'sealed', 'backfilling', 'verified', 'reads', 'more reads', 'new-only'] as const)(
  'to %s',
  (name) => {
    test.each(INTACT)('%s closes it', (_, facts, gate) => expect(closed(name, facts)).toEqual([gate]));
  },
);

test.each<[GateName, string, Partial<Facts>, string]>([
  ['sealed', 'a ramp below 100 %', control({ ramp: 9_999 }), 'the ramp is at 100 %'],
  ['sealed', 'a process behind', { leases: [LEASE, { ...LEASE, epoch: 6 }] }, 'every live process knows it'],
  ['sealed', 'an older transaction', { olderTransactions: true }, 'no transaction is older'],
  ['verified', 'no proof', { proofs: [] }, 'two proofs in a row, the last by value, found nothing'],
  ['verified', 'one proof', { proofs: [PROOF] }, 'two proofs in a row, the last by value, found nothing'],
  [
    'verified',
    'a last proof by presence',
    { proofs: [{ ...PROOF, byValue: false }, PROOF] },
    'two proofs in a row, the last by value, found nothing',
  ],
  ...(['missing', 'extra', 'different', 'quarantined'] as const).flatMap((kind) =>
    [0, 1].map((at): [GateName, string, Partial<Facts>, string] => [
      'verified',
      `${kind} in proof ${at}`,
      { proofs: [PROOF, PROOF].map((proof, index) => (index === at ? { ...proof, [kind]: 1 } : proof)) },
      'two proofs in a row, the last by value, found nothing',
    ]),
  ),
  ['verified', 'quarantine', backlog({ quarantined: 1 }), 'the quarantine is empty'],
  ['verified', 'a write past the library', backlog({ dirty: 1 }), 'no write past the library waits'],
  ['more reads', 'a difference', { shadow: { ...GOOD.shadow, confirmed: 1 } }, 'reads compared in the shadow agree'],
  ['more reads', 'too few reads', { shadow: { ...GOOD.shadow, same: 99 } }, 'reads compared in the shadow agree'],
  ['more reads', 'a lag', backlog({ pending: 1, oldestMs: 2_001 }), 'the old table is up to date'],
  ['new-only', 'reads below 100 %', control({ reads: 9_000 }), 'reads are at 100 %'],
  ['new-only', 'what the old model cannot hold', backlog({ lossy: 1 }), 'the old model can hold everything'],
  ['new-only', 'a difference', { shadow: { ...GOOD.shadow, confirmed: 1 } }, 'no read compared in the shadow differs'],
  ['release', 'what the old model cannot hold', backlog({ lossy: 1 }), 'the old model can hold everything'],
  ['retired', 'a reader', { trap: { ...GOOD.trap, hits: 1 } }, 'nobody read the old table for a whole cycle'],
  [
    'retired',
    'too early',
    { trap: { ...GOOD.trap, trappedMs: 59_999 } },
    'nobody read the old table for a whole cycle',
  ],
  ['draft', 'an owned identity', backlog({ owned: 1 }), 'the new model owns nothing'],
  ['draft', 'a tombstone', backlog({ tombstones: 1 }), 'the new model owns nothing'],
])('to %s: %s closes one gate', (name, _, facts, gate) => expect(closed(name, facts)).toEqual([gate]));

test('what does not matter closes nothing', () => {
  expect(closed('sealed', { leases: [{ ...LEASE, epoch: 1, definition: 'e', ageMs: 5_000 }] })).toEqual([]);
  expect(closed('new-only', backlog({ lossy: 5 }), { acceptLossy: true })).toEqual([]);
  expect(closed('new-only', backlog({ pending: 5, oldestMs: 2_000 }))).toEqual([]);
  expect(closed('retired', { trap: { ...GOOD.trap, trappedMs: 0 } }, { cycleMs: 0 })).toEqual([]);
});

test.each<[GateName, string, Partial<Facts>, Partial<GateSettings>, boolean]>([
  ['sealed', 'a process behind', { leases: [{ ...LEASE, epoch: 6 }] }, {}, true],
  ['sealed', 'an older transaction', { olderTransactions: true }, {}, true],
  ['sealed', 'a ramp below 100 %', control({ ramp: 9_999 }), {}, false],
  [
    'sealed',
    'a guard that sleeps, and a process behind',
    { guardWorks: false, leases: [{ ...LEASE, epoch: 6 }] },
    {},
    false,
  ],
  ['more reads', 'too few reads', { shadow: { ...GOOD.shadow, same: 0 } }, {}, true],
  ['more reads', 'none compared', { shadow: { ...GOOD.shadow, same: 0 }, ...control({ shadow: 0 }) }, {}, false],
  ['more reads', 'a difference', { shadow: { ...GOOD.shadow, confirmed: 1 } }, {}, false],
  ['retired', 'a cycle as long as the wait', { trap: { ...GOOD.trap, hits: 1 } }, {}, true],
  ['retired', 'a longer cycle', { trap: { ...GOOD.trap, hits: 1 } }, { timeoutMs: 59_999 }, false],
])('to %s: whether waiting helps against %s', (name, _, facts, settings, helps) => {
  expect(mayOpen(name, { ...GOOD, ...facts }, { ...SETTINGS, ...settings })).toBe(helps);
});
