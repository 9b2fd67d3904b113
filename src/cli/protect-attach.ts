/** `protect attach`: a protected volume for a user that must not notice when its server is started again. */
import type { Command } from 'commander';
import type { AttachOptions } from '../routes/protect/index.ts';
import { nbdAt, seconds } from './protect-flags.ts';
import { hooksOf } from './protect-hooks.ts';
import type { Session } from './session.ts';

type Flags = Readonly<Record<string, unknown>>;

export function addAttach(protect: Command, session: Session, done: (exitCode: number) => void): void {
  protect
    .command('attach')
    .description('Serve a volume to its user, through crashes and restarts of its server')
    .argument('[COMMAND...]', 'After --: a program that uses it, started when it is served')
    .requiredOption('--volume <NAME>', 'Name of the volume')
    .requiredOption(
      '--from <ADDRESS...>',
      'Where it may be served, the usual place first: unix:/PATH or HOST:PORT of the primary, then of the DR',
    )
    .requiredOption('--nbd <ADDRESS>', 'Where it is served to its user: unix:/PATH or HOST:PORT')
    .option('--grace <SECONDS>', 'How long its user waits for a server that is gone; after that it has failed', '60')
    .option('--json', 'Events as JSON, one a line')
    .addHelpText(
      'after',
      '\nExample:\n  godwit protect attach --volume db --from unix:/run/db.sock far:7403 --nbd unix:/run/db-user.sock' +
        ' -- nbdfuse /run/db.device "nbd+unix:///db?socket=/run/db-user.sock"',
    )
    .action(async (command: readonly string[], flags: Flags) => {
      const route = await session.loadProtect();
      await route.runAttach(attachOptions(command, flags), hooksOf(session, flags['json'] === true));
      done(0);
    });
}

function attachOptions(command: readonly string[], flags: Flags): AttachOptions {
  return {
    volume: String(flags['volume']),
    from: (flags['from'] as readonly string[]).map((each) => nbdAt(each, '--from')),
    nbd: nbdAt(String(flags['nbd'])),
    graceMs: seconds('--grace', flags['grace']),
    command,
  };
}
