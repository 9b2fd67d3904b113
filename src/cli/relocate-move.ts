/** The commands of a live move: they talk to the agent that runs with a state directory. */
import type { Command } from 'commander';
import { GodwitError } from '../kernel/errors.ts';
import type { MoveStatus } from '../routes/relocate/api.ts';
import { addMoveFlags, cutoverOptions, stateOf } from './relocate-flags.ts';
import { paintOf, printJson, printLines, type Session } from './session.ts';
import { cutoverText, moveStatusText } from './view/move-text.ts';

type Flags = Readonly<Record<string, unknown>>;
type Route = Awaited<ReturnType<Session['loadRelocate']>>;

export function addMoveCommands(relocate: Command, session: Session, done: (exitCode: number) => void): void {
  const add = (
    name: string,
    description: string,
    example: string,
    run: (route: Route, state: string, flags: Flags) => Promise<void>,
  ): Command =>
    addMoveFlags(relocate.command(name).description(description))
      .addHelpText('after', `\nExample:\n  godwit relocate ${example}`)
      .action(async (flags: Flags) => {
        await run(await session.loadRelocate(), stateOf(flags), flags);
        done(0);
      });
  const show = (status: MoveStatus, flags: Flags) => {
    if (flags['json'] === true) printJson(session, status);
    else printLines(session, moveStatusText(status, paintOf(session)));
  };

  add(
    'status',
    'How far a live move is, and who has the services',
    'status --state .godwit/relocate-agent',
    async (route, state, flags) => show(await route.status(state, session.signal), flags),
  );

  add(
    'cutover',
    'Stop the source’s services, send the last changes, prove both sides equal, start the target’s',
    'cutover --max-stall 10 --yes-stop default',
    async (route, state, flags) => {
      const options = cutoverOptions(flags);
      if (!options.dryRun) {
        const { name } = await route.status(state, session.signal);
        consent(flags, 'yesStop', '--yes-stop', name, 'A cutover stops the services of the source');
      }
      const result = await route.cutover(state, options, session.signal);
      if (flags['json'] === true) printJson(session, result);
      else printLines(session, cutoverText(result, paintOf(session)));
    },
  )
    .option('--max-stall <SECONDS>', 'Longest time until the target is proved; longer, and it is undone', '60')
    .option('--dry-run', 'Look whether it could be done, and say what would be; stop nothing')
    .option('--yes-stop <NAME>', 'The move’s name: consent to stop its services on the source');

  add(
    'commit',
    'Close the way back: end what was frozen on the source, and the agent. No file of the source is deleted',
    'commit --yes-end default',
    async (route, state, flags) => {
      const { name } = await route.status(state, session.signal);
      consent(flags, 'yesEnd', '--yes-end', name, 'After a commit there is no rollback');
      show(await route.commit(state, session.signal), flags);
    },
  ).option('--yes-end <NAME>', 'The move’s name: consent to end its services on the source for good');

  add(
    'rollback',
    'Stop the target’s services and let the source’s go on, as they were at the cutover',
    'rollback --yes-discard default',
    async (route, state, flags) => {
      const { name } = await route.status(state, session.signal);
      const what = 'What was written at the target since the cutover does not come back with a rollback';
      consent(flags, 'yesDiscard', '--yes-discard', name, what);
      show(await route.rollback(state, session.signal), flags);
    },
  ).option('--yes-discard <NAME>', 'The move’s name: consent to lose what was written at the target since');
}

function consent(flags: Flags, key: string, flag: string, name: string, what: string): void {
  if (flags[key] === name) return;
  throw new GodwitError('GW1005', `${what}. Repeat the command with ${flag} ${name}`, { details: { name } });
}
