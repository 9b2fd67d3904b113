import { Command, CommanderError } from 'commander';
import { failureJson, failureOf, failureText } from './failure.ts';
import { addMigrate } from './migrate.ts';
import { makePaint, wantsColour } from './paint.ts';
import { addPlanned } from './planned.ts';
import { addRemodel } from './remodel.ts';
import type { Session } from './session.ts';

/** Runs one command line (without node and script) to its exit code. Never throws, never exits. */
export async function runProgram(words: readonly string[], session: Session): Promise<number> {
  let exitCode = 0;
  const program = build(session, (code) => {
    exitCode = code;
  });
  try {
    await program.parseAsync(words, { from: 'user' });
    return exitCode;
  } catch (error) {
    // Commander ends --help and --version by throwing too. Help that nobody asked for is a misuse.
    if (error instanceof CommanderError && error.exitCode === 0) return 0;
    if (error instanceof CommanderError && error.code === 'commander.help') return 2;
    const failure = failureOf(error);
    if (words.includes('--json')) session.io.out(failureJson(failure));
    else session.io.err(failureText(failure, makePaint(wantsColour(session.io.env, session.io.isErrTerminal))));
    return failure.exitCode;
  }
}

function build(session: Session, done: (exitCode: number) => void): Command {
  const { io } = session;
  const program = new Command('godwit')
    .description('Moves live systems without stopping them')
    .version(session.version)
    .exitOverride()
    .showSuggestionAfterError()
    .configureOutput({
      writeOut: (text) => io.out(text),
      writeErr: (text) => io.err(text),
      // Errors are printed once, by runProgram.
      outputError: () => {},
      getOutHelpWidth: () => Math.min(110, io.isTerminal ? io.size().columns : 100),
    })
    .addHelpText(
      'after',
      '\nExample:\n  godwit migrate check --from mongodb://old-1/ --to mongodb://new-1/ --include shop',
    );
  addMigrate(program, session, done);
  addRemodel(program, session, done);
  addPlanned(program, session, done);
  return program;
}
