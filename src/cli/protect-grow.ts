/** `protect grow`: a larger volume, while it is served. */
import type { Command } from 'commander';
import { bytes } from './protect-flags.ts';
import { printJson, printLines, type Session } from './session.ts';

type Flags = Readonly<Record<string, unknown>>;

export function addGrow(protect: Command, session: Session, done: (exitCode: number) => void): void {
  protect
    .command('grow')
    .description('Make a volume larger, while it is served; never smaller')
    .requiredOption('--state <DIR>', 'State directory of the primary')
    .requiredOption('--size <BYTES>', 'Its new size: 20GiB')
    .option('--json', 'Answer in JSON, for programs')
    .addHelpText('after', '\nExample:\n  godwit protect grow --state /srv/protect --size 20GiB')
    .action(async (flags: Flags) => {
      const size = bytes('--size', String(flags['size']));
      const route = await session.loadProtect();
      await route.grow(String(flags['state']), size, session.signal);
      if (flags['json'] === true) printJson(session, { size });
      else printLines(session, [`The volume has ${size} bytes; its users see it when they connect anew`]);
      done(0);
    });
}
