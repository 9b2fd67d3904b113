/** Where the old table is: under its own name, or behind a trap. */
import { createHash } from 'node:crypto';
import type { Model } from '../../../kernel/remodel/index.ts';
import type { Executor } from './executor.ts';
import { quoteTable } from './tables.ts';

const PREFIX = 'godwit_retired_';
/** PostgreSQL cuts longer names off. */
const MOST_BYTES = 63;

/** The name of the old table behind the trap, with its schema where the model gives one. */
export function retiredName(model: Model): string {
  const parts = model.from.name.split('.');
  const name = `${PREFIX}${parts.pop()}`;
  const hash = createHash('sha256').update(name).digest('hex').slice(0, 8);
  const short = Buffer.byteLength(name) <= MOST_BYTES ? name : `${cut(name, MOST_BYTES - 9)}_${hash}`;
  return [...parts, short].join('.');
}

function cut(text: string, bytes: number): string {
  let short = text;
  while (Buffer.byteLength(short) > bytes) short = short.slice(0, -1);
  return short;
}

/** Whether the old table stands behind the trap. */
export async function isTrapped(exec: Executor, model: Model): Promise<boolean> {
  const { rows } = await exec.query('select to_regclass($1)::text as name', [quoteTable(retiredName(model))]);
  return rows[0]?.['name'] !== null;
}

/** The model with the old table under the name that it has now. */
export async function withPresentOld(exec: Executor, model: Model): Promise<Model> {
  if (!(await isTrapped(exec, model))) return model;
  return { ...model, from: { ...model.from, name: retiredName(model) } };
}
