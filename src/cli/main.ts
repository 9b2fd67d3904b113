#!/usr/bin/env node
/** The `godwit` command. The only file that exits. */
import { GodwitError } from '../kernel/errors.ts';
import { armFromEnvironment } from './failpoint.ts';
import { processIo } from './io.ts';
import { runProgram } from './program.ts';
import { stopOnSignals } from './signals.ts';
import { packageVersion } from './version.ts';

const stop = stopOnSignals(
  process,
  (text) => process.stderr.write(text),
  (code) => process.exit(code),
);
const io = processIo(() => stop.abort(new GodwitError('GW8001', 'Nobody reads the output any more')));
const exitCode = await runProgram(process.argv.slice(2), {
  io,
  signal: stop.signal,
  version: packageVersion(),
  loadMigrate: () => {
    armFromEnvironment(process.env);
    return import('../routes/migrate/index.ts');
  },
  loadRemodel: () => import('../routes/remodel/engine/index.ts'),
});
// Both streams are written out before the end: a pipe may still hold the last lines.
await new Promise<void>((resolve) => process.stdout.write('', () => resolve()));
await new Promise<void>((resolve) => process.stderr.write('', () => resolve()));
process.exit(exitCode);
