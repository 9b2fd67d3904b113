/** `check`: tries to refute a definition, on made-up rows and on real ones. */
import { type Control, generateRow, type Model, type Row, seededRandom } from '../../../../kernel/remodel/index.ts';
import type { CheckReport, RemodelResult } from '../../api.ts';
import { type Broken, tryLaws } from '../check/laws.ts';
import { shrinkRow } from '../check/shrink.ts';
import { answer } from '../move.ts';
import type { Tools } from '../tools.ts';

const MADE_UP_PER_SAMPLE = 100;
const REAL_PER_SAMPLE = 20;

export async function check(tools: Tools, seed: number): Promise<RemodelResult> {
  const { model, store, admin, options } = tools;
  const control = (await store.control(model)) ?? ({ phase: 'draft', epoch: 0 } as Pick<Control, 'phase' | 'epoch'>);
  const madeUp = tryMadeUp(model, options.samples * MADE_UP_PER_SAMPLE, seed);
  if (madeUp.broken !== undefined) return report(madeUp);
  const real = await admin.sample(model, options.samples * REAL_PER_SAMPLE);
  const sqlRows = model.sql === undefined ? [] : [...real, ...makeRows(model, options.samples, seed, real)];
  const states = sqlRows.length === 0 ? undefined : await admin.sqlUp(model, sqlRows);
  const counts = { ...madeUp, realRows: real.length, sqlRows: states?.length ?? 0 };
  for (const [at, row] of real.entries()) {
    const broken = tryLaws(model, row, states?.[at]);
    if (broken !== undefined) return report({ ...counts, broken: ofRealRow(model, row, broken) });
  }
  for (const [at, row] of sqlRows.entries()) {
    const broken = tryLaws(model, row, states?.[at]);
    if (broken !== undefined) return report({ ...counts, broken: { ...broken, example: shown(row) } });
  }
  return report(counts);

  function report(found: CheckReport): RemodelResult {
    const tried = `${found.madeUpRows} made-up rows, ${found.realRows} real ones, ${found.sqlRows} through SQL`;
    const words =
      found.broken === undefined
        ? `Nothing refutes the definition: ${tried}`
        : `Refuted: ${found.broken.law}; ${found.broken.message}. ${found.broken.example}`;
    return answer(tools, 'check', control, words, { check: found, ok: found.broken === undefined });
  }
}

/** Made-up rows only; needs no database. Pure. */
export function tryMadeUp(model: Model, rows: number, seed: number): CheckReport {
  const random = seededRandom(seed);
  const done = { seed, realRows: 0, sqlRows: 0 };
  for (let n = 1; n <= rows; n += 1) {
    const row = withoutOverflow(model, generateRow(model.from.columns, random));
    const broken = tryLaws(model, row);
    if (broken === undefined) continue;
    const simplest = shrinkRow(model, row, (candidate) => tryLaws(model, candidate)?.law === broken.law);
    const still = tryLaws(model, simplest) as Broken;
    return { ...done, madeUpRows: n, broken: { ...still, example: shown(simplest) } };
  }
  return { ...done, madeUpRows: rows };
}

/** Rows with keys of their own: SQL is given all rows at once and tells them apart by it. */
function makeRows(model: Model, rows: number, seed: number, real: readonly Row[]): readonly Row[] {
  const random = seededRandom(seed);
  const keys = new Set(real.map((row) => String(row[model.key])));
  const made = Array.from({ length: rows }, () => withoutOverflow(model, generateRow(model.from.columns, random)));
  return made.filter((row) => {
    const key = String(row[model.key]);
    return !keys.has(key) && keys.add(key);
  });
}

/** The overflow column is written by Godwit alone: made-up content of it says nothing. */
function withoutOverflow(model: Model, row: Row): Row {
  return model.inverse.policy === 'overflow' ? { ...row, [model.inverse.column]: null } : row;
}

/** Values of real rows are nobody's business here: the identity says where to look. */
function ofRealRow(model: Model, row: Row, broken: Broken): NonNullable<CheckReport['broken']> {
  return { ...broken, example: `The row with ${model.key} ${String(row[model.key])}` };
}

function shown(row: Row): string {
  const parts = Object.entries(row).map(([name, value]) => `${name}: ${valueShown(value)}`);
  return `{ ${parts.join(', ')} }`;
}

function valueShown(value: Row[string]): string {
  if (typeof value === 'bigint') return `${value}n`;
  if (value instanceof Uint8Array) return `bytes ${Buffer.from(value).toString('hex')}`;
  return Object.is(value, -0) ? '-0' : typeof value === 'number' ? String(value) : JSON.stringify(value);
}
