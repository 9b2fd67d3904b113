/**
 * The batch may merge and reorder as it likes: what a target holds after its
 * statements were carried out must be what the log says, entry by entry. A
 * diff is an opaque function here, so that only order and completeness count.
 */
import { Double, deserialize, Int32, Long } from 'bson';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Batch, type Slice, type Statement } from './batch.ts';
import { rawEntry, trackedOfTests } from './entries.test-support.ts';
import { readEntry } from './entry.ts';
import type { TrackedCollection } from './tracked.ts';

const LARGE = 2n ** 60n;
/** Each line is one key to the server; its forms are equal to it. The last two round to the same double. */
const KEYS: readonly (readonly unknown[])[] = [
  [new Int32(1), new Double(1), Long.fromNumber(1)],
  [new Int32(0), new Double(0), new Double(-0)],
  ['a'],
  [{ a: new Int32(1) }, { a: new Double(1) }],
  [Long.fromBigInt(LARGE)],
  [Long.fromBigInt(LARGE + 1n)],
];

type Kind = 'insert' | 'put' | 'delete' | 'delta' | 'modify';
interface Step {
  readonly key: number;
  readonly form: number;
  readonly kind: Kind;
}

/** What a document went through: its form, its first content, and every diff since. */
type Content = string;
type State = Map<number, Content>;

const keyNumberOf = (id: unknown): number => {
  const number = (value: unknown): unknown =>
    value instanceof Long
      ? value.toBigInt()
      : value instanceof Double || value instanceof Int32
        ? BigInt(value.value)
        : value;
  const flat = (value: unknown) => {
    const inner = number(value);
    return typeof inner === 'object' ? `{${String(number((inner as { a: unknown }).a))}}` : String(inner);
  };
  return KEYS.findIndex((forms) => flat(forms[0]) === flat(id));
};

function rawOf(step: Step, form: number, n: number): Buffer {
  const _id = KEYS[step.key]![form];
  switch (step.kind) {
    case 'insert':
      return rawEntry({ op: 'i', o: { _id, n }, o2: { _id } });
    case 'put':
      return rawEntry({ op: 'u', o: { _id, n }, o2: { _id } });
    case 'delete':
      return rawEntry({ op: 'd', o: { _id } });
    case 'delta':
      return rawEntry({ op: 'u', o: { $v: 2, diff: { u: { n } } }, o2: { _id } });
    case 'modify':
      return rawEntry({ op: 'u', o: { $v: 1, $set: { n } }, o2: { _id } });
  }
}

/** Entries that a server can have written: what is inserted was not there, what is changed was, in the form it has. */
function possible(steps: readonly Step[]): { entries: Buffer[]; after: State } {
  const entries: Buffer[] = [];
  const forms = new Map<number, number>();
  const after: State = new Map();
  steps.forEach((wanted, n) => {
    const there = forms.get(wanted.key);
    const kind = there === undefined ? 'insert' : wanted.kind === 'insert' ? 'put' : wanted.kind;
    const form = there ?? wanted.form % KEYS[wanted.key]!.length;
    const step = { ...wanted, kind } as Step;
    entries.push(rawOf(step, form, n));
    change(after, step.key, kind, [n], form);
    if (kind === 'delete') forms.delete(wanted.key);
    else forms.set(wanted.key, form);
  });
  return { entries, after };
}

function change(state: State, key: number, kind: Kind, ns: readonly number[], form: number): void {
  const present = state.get(key);
  if (kind === 'insert' || kind === 'put') state.set(key, `form ${form}: ${ns[0]}`);
  else if (kind === 'delete') state.delete(key);
  else if (present !== undefined)
    state.set(key, `${present} ${ns.map((n) => `${kind === 'delta' ? 'd' : 'm'}${n}`).join(' ')}`);
}

function idOf(statement: Statement): { key: number; form: number } {
  const { id, idType } = statement;
  const head = Buffer.from([0, 0, 0, 0, idType, 0x5f, 0x69, 0x64, 0]);
  const doc = Buffer.concat([head, id.buf.subarray(id.start, id.end), Buffer.from([0])]);
  doc.writeInt32LE(doc.length, 0);
  const value = deserialize(doc, { promoteValues: false })['_id'];
  const key = keyNumberOf(value);
  const form = KEYS[key]!.findIndex(
    (one) => JSON.stringify([kindOf(one), one]) === JSON.stringify([kindOf(value), value]),
  );
  return { key, form };
}

function kindOf(value: unknown): string {
  if (value instanceof Double) return Object.is(value.value, -0) ? 'minus zero' : 'double';
  if (typeof value === 'object' && value !== null && 'a' in value) return `{${kindOf(value.a)}}`;
  return Object.prototype.toString.call(value) + (value as { _bsontype?: string })._bsontype;
}

function numberIn(slice: Slice): number {
  const doc = deserialize(slice.buf.subarray(slice.start, slice.end));
  return (doc['n'] ?? doc['diff']?.u.n ?? doc['$set']?.n) as number;
}

function execute(state: State, statement: Statement): void {
  const { key, form } = idOf(statement);
  const doc = () => [numberIn(statement.doc!)];
  switch (statement.kind) {
    case 'insert':
      expect(state.has(key), 'an insert of what is there already').toBe(false);
      change(state, key, 'insert', doc(), form);
      break;
    case 'replace':
      if (state.has(key)) change(state, key, 'put', doc(), form);
      break;
    case 'put':
    case 'reinsert':
      change(state, key, 'put', doc(), form);
      break;
    case 'delete':
      change(state, key, 'delete', [], form);
      break;
    case 'deltas':
      change(state, key, 'delta', statement.deltas.map(numberIn), form);
      break;
    case 'modify':
      change(state, key, 'modify', doc(), form);
      break;
  }
}

/** As `ApplyLane` does: pass by pass over the chains; lanes in any order. */
function carryOut(state: State, batch: Batch, laneOrder: readonly number[]): void {
  for (const lane of laneOrder) {
    for (const work of batch.lanes[lane]!.values()) {
      for (const statement of work.sequence) execute(state, statement);
      for (let pass = 0, more = true; more; pass += 1) {
        more = false;
        for (const { statements } of work.chains.values()) {
          const statement = statements[pass];
          if (statement) execute(state, statement);
          if (statements.length > pass + 1) more = true;
        }
      }
    }
  }
}

function batchOf(entries: readonly Buffer[], lanes: number, fuzzy: boolean, over: Partial<TrackedCollection> = {}) {
  const batch = new Batch(lanes);
  const collection = trackedOfTests(over);
  for (const raw of entries) batch.add(collection, readEntry(raw, 0, true), fuzzy);
  expect(batch.changes).toBe(entries.length);
  return batch;
}

const arbStep: fc.Arbitrary<Step> = fc.record({
  key: fc.nat(KEYS.length - 1),
  form: fc.nat(2),
  kind: fc.constantFrom<Kind>('insert', 'put', 'delete', 'delta', 'delta', 'modify'),
});
const arbSteps = fc.array(arbStep, { maxLength: 30 });

test('a batch does what its entries say, in the order of each key', () => {
  fc.assert(
    fc.property(arbSteps, fc.integer({ min: 1, max: 4 }), fc.boolean(), (steps, lanes, turned) => {
      const { entries, after } = possible(steps);
      const state: State = new Map();
      const order = Array.from({ length: lanes }, (_, i) => (turned ? lanes - 1 - i : i));
      carryOut(state, batchOf(entries, lanes, false), order);
      expect(state).toEqual(after);
    }),
    { numRuns: 250 },
  );
});

test.each([{ capped: true, sequential: true }, { sequential: true }])('the same where order counts: %j', (over) => {
  fc.assert(
    fc.property(arbSteps, (steps) => {
      const { entries, after } = possible(steps);
      const state: State = new Map();
      carryOut(state, batchOf(entries, 3, false, over), [0, 1, 2]);
      expect(state).toEqual(after);
    }),
    { numRuns: 80 },
  );
});

test('two batches, one after the other, do what one does', () => {
  fc.assert(
    fc.property(arbSteps, fc.nat(30), (steps, cut) => {
      const { entries, after } = possible(steps);
      const state: State = new Map();
      for (const part of [entries.slice(0, cut), entries.slice(cut)]) carryOut(state, batchOf(part, 2, false), [0, 1]);
      expect(state).toEqual(after);
    }),
    { numRuns: 100 },
  );
});

test('replayed onto a target that holds a later state, whole documents come out as the log says', () => {
  // Diffs onto a later document are the server's own business (they are idempotent); whole ones must not depend on it.
  fc.assert(
    fc.property(arbSteps, fc.nat(30), (steps, ahead) => {
      const whole = steps
        .filter(({ kind }) => kind !== 'delta' && kind !== 'modify')
        .map((step) => ({ ...step, form: 0 }));
      const { entries, after } = possible(whole);
      const state = new Map(possible(whole.slice(0, ahead)).after);
      carryOut(state, batchOf(entries, 2, true), [0, 1]);
      expect(state).toEqual(after);
    }),
    { numRuns: 100 },
  );
});

test('a key never lies on two lanes, and a collection whose order counts lies on one, entry by entry', () => {
  fc.assert(
    fc.property(arbSteps, (steps) => {
      const { entries } = possible(steps);
      const lanesOf = new Map<number, Set<number>>();
      batchOf(entries, 4, false).lanes.forEach((works, lane) => {
        for (const work of works.values()) {
          for (const { statements } of work.chains.values()) {
            for (const statement of statements) {
              const { key } = idOf(statement);
              lanesOf.set(key, (lanesOf.get(key) ?? new Set()).add(lane));
            }
          }
        }
      });
      for (const [key, lanes] of lanesOf) expect(lanes.size, `key ${key}`).toBe(1);

      const sequential = batchOf(entries, 4, false, { sequential: true });
      const used = sequential.lanes.filter((works) => works.size > 0);
      expect(used.length).toBe(entries.length === 0 ? 0 : 1);
      const sequence = [...(used[0]?.values() ?? [])].flatMap((work) => work.sequence);
      expect(sequence.length).toBe(entries.length);
    }),
    { numRuns: 80 },
  );
});

test('many keys are spread evenly over the lanes', () => {
  const entries = Array.from({ length: 4_000 }, (_, n) => rawEntry({ o: { _id: n } }));
  const sizes = batchOf(entries, 4, false).lanes.map((works) => [...works.values()][0]?.chains.size ?? 0);
  for (const size of sizes) expect(size).toBeGreaterThan(700);
});
