/** Where the old table is: under its own name, or behind a trap. */
import { createHash } from 'node:crypto';
import type { Model } from '../../../kernel/remodel/index.ts';
import type { Executor } from './executor.ts';
import { loadTables, quoteTable, type SqlModel } from './tables.ts';

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

/**
 * The tables for whoever keeps them longer than a moment: the old one by its
 * lasting name, which is right before the trap and after it. While it is
 * trapped, and when it is gone for good, the protocol does not read it.
 */
export async function loadLasting(exec: Executor, model: Model): Promise<SqlModel> {
  const { rows } = await exec.query(
    `select to_regclass($1)::text as there,
            (select format('%I.%I', n.nspname, $3::text) from pg_class c join pg_namespace n on n.oid = c.relnamespace
              where c.oid = to_regclass($2)) as behind`,
    [quoteTable(model.from.name), quoteTable(retiredName(model)), model.from.name.split('.').at(-1) as string],
  );
  const behind = rows[0]?.['behind'];
  if (behind) {
    const tables = await loadTables(exec, await withPresentOld(exec, model));
    return { ...tables, model, old: { ...tables.old, name: behind } };
  }
  if (rows[0]?.['there'] || !(await isRetired(exec, model))) return loadTables(exec, model);
  // The root stands in for what nobody asks any more.
  const tables = await loadTables(exec, { ...model, from: model.to[model.root] as Model['from'] });
  return { ...tables, model, old: { ...tables.old, name: quoteTable(model.from.name) } };
}

async function isRetired(exec: Executor, model: Model): Promise<boolean> {
  const { rows: there } = await exec.query(`select to_regclass('godwit.remodel')::text as name`);
  if (!there[0]?.['name']) return false;
  const { rows } = await exec.query('select phase::text as phase from godwit.remodel where name = $1', [model.name]);
  return rows[0]?.['phase'] === 'retired';
}
