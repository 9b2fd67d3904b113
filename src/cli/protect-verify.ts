/** `godwit protect verify` and `rewind`: requests that take as long as the volume is large. */
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { exitCodeOf } from '../kernel/codes.ts';
import { GodwitError } from '../kernel/errors.ts';
import type { RewindTo } from '../routes/protect/api.ts';
import { nbdAt } from './protect-flags.ts';
import { hooksOf } from './protect-hooks.ts';
import { withProgress } from './protect-progress.ts';
import { paintOf, printJson, printLines, type Session } from './session.ts';
import { rewoundText, verifiedText } from './view/protect-text.ts';

type Flags = Readonly<Record<string, unknown>>;

export function addVerify(protect: Command, session: Session, done: (exitCode: number) => void): void {
  protect
    .command('verify')
    .description('Prove that the image at the DR is the volume of the primary, while both live and writers go on')
    .requiredOption('--state <DIR>', 'State directory of the primary')
    .option('--mend', 'Send what differs again, as the primary has it, and compare it after that')
    .option('--json', 'Answer in JSON, for programs')
    .addHelpText(
      'after',
      '\nExits with 6 when anything differs at the end.\n\nExample:\n  godwit protect verify --state /srv/protect',
    )
    .action(async (flags: Flags) => {
      const route = await session.loadProtect();
      const state = String(flags['state']);
      const quiet = flags['json'] === true;
      const of: Parameters<typeof withProgress>[1]['of'] = (status) => {
        const verify = status.role === 'primary' ? status.verify : undefined;
        if (verify === undefined) return undefined;
        const { comparedBytes, totalBytes, differing } = verify;
        return { done: comparedBytes, total: totalBytes, note: differing > 0 ? `${differing} chunks differ` : '' };
      };
      const work = route.verify(state, flags['mend'] === true, session.signal);
      const result = await withProgress(session, { what: 'compared', state, quiet, of }, work);
      if (quiet) printJson(session, result);
      else printLines(session, verifiedText(result, paintOf(session)));
      done(result.differing.length > 0 ? exitCodeOf('GW6001') : 0);
    });
}

export function addRewind(protect: Command, session: Session, done: (exitCode: number) => void): void {
  protect
    .command('rewind')
    .description('Write the volume as it was at an earlier moment into a new file, at the DR; its image stays as it is')
    .requiredOption('--state <DIR>', 'State directory of the DR, which runs with --rewind SIZE')
    .option('--at <TIME>', 'What was there at that time: 2026-01-31T12:34:56.789Z; as of a time zone, or UTC')
    .option('--sequence <N>', 'What was there after that operation')
    .requiredOption('--into <FILE>', 'The file that is made: as large as the volume, with holes where it is zeroes')
    .option(
      '--nbd <ADDRESS>',
      'Then serve it there by NBD, for reading only, until it is stopped: HOST:PORT or unix:/PATH',
    )
    .option('--json', 'Answer in JSON, for programs')
    .addHelpText(
      'after',
      '\nExample:\n  godwit protect rewind --state /srv/protect --at 2026-01-31T12:34:56Z --into /srv/before.img',
    )
    .action(async (flags: Flags) => {
      const to = rewindTo(flags);
      const nbd = flags['nbd'] === undefined ? undefined : nbdAt(String(flags['nbd']));
      const route = await session.loadProtect();
      const state = String(flags['state']);
      const quiet = flags['json'] === true;
      const of: Parameters<typeof withProgress>[1]['of'] = (status) => {
        const copy = status.role === 'dr' ? status.rewind?.copy : undefined;
        return copy && { done: copy.bytes, total: copy.totalBytes, note: '' };
      };
      const work = route.rewind(state, to, resolve(String(flags['into'])), session.signal);
      const result = await withProgress(session, { what: 'written', state, quiet, of }, work);
      if (quiet) printJson(session, result);
      else printLines(session, rewoundText(result, paintOf(session)));
      if (nbd !== undefined) await route.serveCopy({ ...result, nbd }, hooksOf(session, quiet));
      done(0);
    });
}

const ZONED = /([zZ]|[+-]\d{2}:?\d{2})$/;

/** @throws GodwitError GW1001 unless exactly one moment is named, in a form that can be read in one way only */
export function rewindTo({ at, sequence }: Flags): RewindTo {
  if ((at === undefined) === (sequence === undefined)) {
    throw new GodwitError('GW1001', 'Name the moment, by --at TIME or by --sequence N');
  }
  if (sequence !== undefined) {
    const number = Number(sequence);
    if (!Number.isSafeInteger(number) || number < 0 || String(sequence).trim() === '') {
      throw new GodwitError(
        'GW1001',
        `--sequence ${String(sequence)} is not valid; accepted: the number of an operation`,
      );
    }
    return { sequence: number };
  }
  const text = String(at).trim();
  const isDay = /^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}/.test(text);
  const time = Date.parse(ZONED.test(text) ? text : `${text}Z`);
  if (!isDay || Number.isNaN(time)) {
    throw new GodwitError(
      'GW1001',
      `--at ${text} is not valid; accepted: 2026-01-31T12:34:56Z, 2026-01-31T13:34:56+01:00`,
    );
  }
  return { time };
}
