/** A snapshot as CSV files, for comparison outside of the database. */
import { once } from 'node:events';
import { createWriteStream, type WriteStream } from 'node:fs';
import { join } from 'node:path';
import { finished, pipeline } from 'node:stream/promises';
import type pg from 'pg';
import { to as copyTo } from 'pg-copy-streams';
import { systemClock } from '../../../kernel/clock.ts';
import { throwIfAborted } from '../../../kernel/errors.ts';
import type { CompareOptions, ExportedSnapshot, Model, Row } from '../../../kernel/remodel/index.ts';
import { type Throttle, throttleOf } from '../../../kernel/throttle.ts';
import { translate } from '../errors.ts';
import { onPg } from './executor.ts';
import { connectLike, endClient, Snapshot } from './snapshot.ts';
import { canonicalExpression, canonicalTexts, withExactTypes } from './snapshot-canonical.ts';
import { keyOrder } from './snapshot-order.ts';
import { RowCursor } from './snapshot-rows.ts';
import { literal, loadTables, type SqlModel, type SqlTable } from './tables.ts';
import { withPresentOld } from './trap-names.ts';
import { mergeSources } from './verify-merge.ts';
import { openNew } from './verify-sources.ts';
import { stateFrom } from './verify-state.ts';

const CSV = '(format csv, header, force_quote *)';
/** So many new rows are made into old ones at once. */
const ROWS_AT_ONCE = 2_000;
const QUOTE = 0x22;
const NEWLINE = 0x0a;

/**
 * Writes `old.csv`, `new.csv`, `pending.csv` and `tombstone.csv` to a folder:
 * header `k,c0,c1,…`, values quoted, NULL unquoted and empty. `new.csv` has what
 * `down` makes of each root row; where it fails, and for rows of a list that nobody has, a text that no column holds.
 * Values are in one form on both sides (see `canonicalExpression`). Memory does
 * not depend on the size of the tables.
 * @throws GodwitError GW8001 when the signal is set.
 */
export async function exportSnapshot(
  pool: pg.Pool,
  model: Model,
  folder: string,
  { byValue, maxRate, signal }: CompareOptions,
): Promise<ExportedSnapshot> {
  const snapshot = await Snapshot.open(pool, signal);
  let plain: pg.Client | undefined;
  try {
    const exec = onPg(snapshot.holder);
    const loaded = await loadTables(exec, await withPresentOld(exec, model));
    const tables = { ...loaded, old: await withExactTypes(exec, loaded.old) };
    plain = await connectLike(pool);
    const copy = async (name: string, select: string) => {
      const source = (await snapshot.join()).query(copyTo(`copy (${select}) to stdout ${CSV}`));
      const file = createWriteStream(join(folder, `${name}.csv`));
      if (maxRate === undefined) await pipeline(source, file, { signal });
      else await pipeline(source, (chunks: AsyncIterable<Buffer>) => slowly(chunks, maxRate, signal), file, { signal });
    };
    const { old, root } = tables;
    const values = byValue ? old.columns.map((c, i) => `${canonicalExpression(`t.${c.name}`, c)} as c${i}`) : [];
    const of = (table: string) => `select identity as k from godwit.${table} where remodel = ${literal(model.name)}`;
    await Promise.all([
      copy('old', `select ${[`t.${old.key.name}::text as k`, ...values].join(', ')} from ${old.name} t`),
      copy('pending', `${of('outbox')} union ${of('dirty')} union ${of('quarantine')}`),
      copy('tombstone', of('tombstone')),
      byValue
        ? writeMade({
            snapshot,
            plain,
            tables,
            path: join(folder, 'new.csv'),
            throttle: throttleOf(maxRate, systemClock),
            signal,
          })
        : copy('new', `select ${root.key.name}::text as k from ${root.name}`),
    ]);
  } catch (error) {
    throwIfAborted(signal);
    throw translate(error, `Exporting a snapshot of ${model.name}`);
  } finally {
    await snapshot.close();
    if (plain) await endClient(plain);
  }
  const file = (name: string) => join(folder, `${name}.csv`);
  return {
    snapshot: snapshot.name,
    oldFile: file('old'),
    newFile: file('new'),
    pendingFile: file('pending'),
    tombstoneFile: file('tombstone'),
    columns: byValue ? Object.keys(model.from.columns) : [],
  };
}

/** Passes on what the server sends as CSV, at most so many rows a second: what is not taken from it, it does not read. */
async function* slowly(chunks: AsyncIterable<Buffer>, maxRate: number, signal: AbortSignal): AsyncGenerator<Buffer> {
  const throttle = throttleOf(maxRate, systemClock);
  let isQuoted = false;
  for await (const chunk of chunks) {
    let rows = 0;
    for (const byte of chunk) {
      if (byte === QUOTE) isQuoted = !isQuoted;
      else if (byte === NEWLINE && !isQuoted) rows += 1;
    }
    await throttle.take(rows, signal);
    yield chunk;
  }
}

interface Made {
  readonly snapshot: Snapshot;
  /** A connection outside of any transaction. */
  readonly plain: pg.Client;
  readonly tables: SqlModel;
  readonly path: string;
  /** Of rows. */
  readonly throttle: Throttle;
  readonly signal: AbortSignal;
}

/** Old rows made of the new ones. */
async function writeMade({ snapshot, plain, tables, path, throttle, signal }: Made): Promise<void> {
  const { old } = tables;
  const file = createWriteStream(path);
  let failure: unknown;
  file.on('error', (error) => {
    failure = error;
  });
  let batch: { readonly k: string; readonly row: Row | undefined }[] = [];
  let rootless: string[] = [];
  const flush = async (): Promise<void> => {
    throwIfAborted(signal);
    if (failure !== undefined) throw failure;
    await throttle.take(batch.length, signal);
    const made = batch;
    batch = [];
    for (const k of await withoutOld(snapshot.holder, old, rootless)) made.push({ k, row: undefined });
    rootless = [];
    const texts = await canonicalTexts(
      plain,
      old,
      made.map(({ row }) => row),
    );
    await write(file, made.map(({ k }, i) => csvLine([k, ...(texts[i] as readonly (string | null)[])])).join(''));
  };
  try {
    await write(file, csvLine(['k', ...old.columns.map((_, i) => `c${i}`)]).replaceAll('"', ''));
    const none = () => new RowCursor(nothing());
    const sources = { old: none(), marks: none(), all: await openNew(snapshot, tables, signal) };
    await mergeSources(
      sources,
      keyOrder(old.key.type),
      ({ identity, all }) => {
        if (all[0]?.length !== 0) batch.push({ k: identity, row: inverse(tables, all) });
        else rootless.push(identity);
      },
      () => (batch.length + rootless.length < ROWS_AT_ONCE ? undefined : flush()),
    );
    await flush();
    file.end();
    await finished(file);
  } catch (error) {
    file.destroy();
    throw error;
  }
}

/** Rows of a list without a root are too many where there is no old row either; with one the root is missing, which needs no line here. */
async function withoutOld(
  snapshot: pg.Client,
  old: SqlTable,
  identities: readonly string[],
): Promise<readonly string[]> {
  if (identities.length === 0) return [];
  const { rows } = await snapshot.query<{ k: string }>(
    `select u.k from unnest($1::text[]) as u(k)
      where not exists (select 1 from ${old.name} x where x.${old.key.name} = u.k::${old.key.sqlType})`,
    [identities],
  );
  return rows.map(({ k }) => k);
}

function inverse(tables: SqlModel, all: Parameters<typeof stateFrom>[1]): Row | undefined {
  try {
    return tables.model.down(stateFrom(tables, all));
  } catch {
    return undefined;
  }
}

async function* nothing(): AsyncGenerator<never> {}

async function write(file: WriteStream, text: string): Promise<void> {
  if (!file.write(text)) await once(file, 'drain');
}

function csvLine(values: readonly (string | null)[]): string {
  return `${values.map((value) => (value === null ? '' : `"${value.replaceAll('"', '""')}"`)).join(',')}\n`;
}
