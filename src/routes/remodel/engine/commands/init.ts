/** `init`: a definition to begin from. */
import { existsSync, writeFileSync } from 'node:fs';
import { GodwitError } from '../../../../kernel/errors.ts';
import type { RemodelArgs, RemodelOptions, RemodelResult } from '../../api.ts';
import { definitionText } from '../definition-text.ts';
import { describeTable } from '../open-store.ts';

export async function init(options: RemodelOptions, args: RemodelArgs): Promise<RemodelResult> {
  const { table, out: file = 'migration.ts' } = args;
  if (table === undefined) throw new GodwitError('GW1001', '--table is missing; name the old table');
  if (existsSync(file))
    throw new GodwitError('GW1001', `${file} exists; give another --out, or remove it first`, { details: { file } });
  const columns = await describeTable(options.db, table);
  if (columns.length === 0)
    throw new GodwitError('GW1001', `There is no table ${table} in this database, or it has no columns`, {
      details: { table },
    });
  const maker = /^mongodb/.test(options.db) ? 'mongoCollection' : 'pgTable';
  const text = definitionText(table, columns, maker);
  if (!options.dryRun) writeFileSync(file, text, { flag: 'wx' });
  const message = options.dryRun
    ? `${file} would be written`
    : `${file} is a beginning: fill in what it marks TODO, then \`godwit remodel check\``;
  return {
    version: 1,
    route: 'remodel',
    command: 'init',
    remodel: table,
    phase: 'draft',
    epoch: 0,
    already: false,
    dryRun: options.dryRun,
    message,
    file,
    ok: true,
    ...(options.dryRun ? { would: text.trimEnd().split('\n') } : {}),
  };
}
