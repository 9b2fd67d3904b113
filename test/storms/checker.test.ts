import { expect, test } from 'vitest';
import { Checker } from './checker.ts';
import { apply, type Look, textOf } from './person.ts';
import { Random } from './random.ts';

const look = (email: string, subs: Record<string, string> = {}): Look => ({ email, subs });
const email = (to: string) => ({ kind: 'email', email: to }) as const;

function checker(): Checker {
  const made = new Checker();
  made.know(1, look('a'));
  return made;
}

test('an acknowledged write must be seen, and nothing older', () => {
  const it = checker();
  it.begin(1, email('b'));
  const during = it.beginRead(1);
  expect(it.judge(1, during, look('a'))).toBe('right');
  expect(it.judge(1, during, look('b'))).toBe('right');
  expect(it.end(1, email('b'), 'done')).toBe(true);
  expect(it.judge(1, during, look('a'))).toBe('right');
  const later = it.beginRead(1);
  expect(it.judge(1, later, look('a'))).toBe('stale');
  expect(it.judge(1, later, look('c'))).toBe('wrong');
  expect(it.judge(1, later, look('b', { x: 'p' }))).toBe('wrong');
  expect(it.judge(1, later, undefined)).toBe('wrong');
});

test('nobody knows what became of a write whose process died; of a refused one everybody', () => {
  const it = checker();
  it.begin(1, email('b'));
  it.end(1, email('b'), 'unknown');
  expect(it.whole(new Map([[1, look('a')]]))).toEqual([]);
  expect(it.whole(new Map([[1, look('b')]]))).toEqual([]);
  it.begin(1, { kind: 'insert', id: 's', plan: 'p' });
  it.end(1, { kind: 'insert', id: 's', plan: 'p' }, 'done');
  expect(it.whole(new Map([[1, look('a', { s: 'p' })]]))).toEqual([]);
  expect(it.whole(new Map([[1, look('a')]]))).toHaveLength(1);
  it.begin(1, { kind: 'create', email: 'z' });
  expect(it.end(1, { kind: 'create', email: 'z' }, 'refused')).toBe(true);
  it.begin(1, email('q'));
  // Nothing it may be would refuse that.
  expect(it.end(1, email('q'), 'refused')).toBe(false);
});

test('lost, resurrected, doubled and never made are found in a whole state', () => {
  const it = checker();
  it.know(2, undefined);
  it.begin(1, { kind: 'insert', id: 's', plan: 'p' });
  it.end(1, { kind: 'insert', id: 's', plan: 'p' }, 'done');
  const right: [number, Look][] = [[1, look('a', { s: 'p' })]];
  expect(it.whole(new Map(right))).toEqual([]);
  expect(it.whole(new Map())).toHaveLength(1);
  expect(it.whole(new Map([[1, look('a', { s: 'p', t: 'p' })]]))).toHaveLength(1);
  expect(it.whole(new Map([...right, [2, look('x')]]))).toHaveLength(1);
  expect(it.whole(new Map([...right, [3, look('x')]]))).toHaveLength(1);
});

/** A history as an honest system would give it: what each read saw, and how all is at the end. */
function history(seed: number) {
  const random = new Random(seed);
  const it = new Checker();
  const truth = new Map<number, Look>();
  for (let id = 1; id <= 10; id += 1) {
    truth.set(id, look(`first${id}`));
    it.know(id, truth.get(id));
  }
  const seen: { readonly id: number; readonly past: Look[]; readonly since: number; readonly verdict: string }[] = [];
  const pasts = new Map<number, Look[]>();
  for (let n = 0; n < 200; n += 1) {
    const id = 1 + random.below(10);
    const now = truth.get(id);
    const op = now
      ? random.pick([email(`mail${n}`), { kind: 'insert', id: `s${n}`, plan: 'p' }, { kind: 'delete' }] as const)
      : ({ kind: 'create', email: `new${n}` } as const);
    const outcome = random.pick(['done', 'done', 'done', 'failed', 'unknown'] as const);
    it.begin(id, op);
    const hasHappened = outcome === 'done' || (outcome === 'unknown' && random.chance(0.5));
    if (hasHappened) {
      pasts.set(id, [...(pasts.get(id) ?? []), now]);
      truth.set(id, apply(now, op) as Look);
    }
    it.end(id, op, outcome);
    const since = it.beginRead(id);
    seen.push({ id, past: [...(pasts.get(id) ?? [])], since, verdict: it.judge(id, since, truth.get(id)) });
  }
  return { it, truth, seen, pasts };
}

test('no honest history is called wrong, and each planted fault is', () => {
  let planted = 0;
  for (let seed = 1; seed <= 50; seed += 1) {
    const { it, truth, seen, pasts } = history(seed);
    expect(seen.filter(({ verdict }) => verdict !== 'right')).toEqual([]);
    const now = () => new Map([...truth].filter(([, each]) => each !== undefined));
    expect(it.whole(now())).toEqual([]);
    for (const [id, past] of pasts) {
      // What may be, when nobody knows what became of the last write, is no fault.
      const mayBe = new Set(it.told(id).split(' → ').at(-1)?.split(' or '));
      const isFault = (each: Look) => !mayBe.has(textOf(each));
      for (const each of past.filter(isFault)) {
        planted += 1;
        expect(it.judge(id, it.beginRead(id), each), 'a read from the past').toBe('stale');
        const spoilt = now();
        if (each) spoilt.set(id, each);
        else spoilt.delete(id);
        expect(it.whole(spoilt), 'a write lost, or a row that came back').toHaveLength(1);
      }
      const other = look('never written');
      expect(it.judge(id, it.beginRead(id), other)).toBe('wrong');
      expect(it.whole(now().set(id, other))).toHaveLength(1);
    }
  }
  expect(planted).toBeGreaterThan(1_000);
});
