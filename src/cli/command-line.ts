import { Command, CommanderError } from 'commander';
import { failureJson, failureOf, failureText } from './failure.ts';
import { makePaint, wantsColour } from './paint.ts';
import type { Session } from './session.ts';

/** Adds commands to the program; `done` takes the exit code of the one that ran. */
export type AddCommands = (program: Command, session: Session, done: (exitCode: number) => void) => void;

/** Runs one command line (without node and script) to its exit code. Never throws, never exits. */
export async function runCommandLine(
  words: readonly string[],
  session: Session,
  add: AddCommands,
  example: string,
): Promise<number> {
  let exitCode = 0;
  const program = bare(session, example);
  add(program, session, (code) => {
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

function bare({ io, version }: Session, example: string): Command {
  return new Command('godwit')
    .description('Moves live systems without stopping them')
    .version(version)
    .exitOverride()
    .showSuggestionAfterError()
    .configureOutput({
      writeOut: (text) => io.out(text),
      writeErr: (text) => io.err(text),
      // Errors are printed once, by runCommandLine.
      outputError: () => {},
      getOutHelpWidth: () => Math.min(110, io.isTerminal ? io.size().columns : 100),
    })
    .addHelpText('after', `\nExample:\n  ${example}`);
}
