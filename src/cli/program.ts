import type { Command } from 'commander';
import { runCommandLine } from './command-line.ts';
import { addMigrate } from './migrate.ts';
import { addProtect } from './protect.ts';
import { addRelocate } from './relocate.ts';
import { addAdapt } from './relocate-adapt.ts';
import { addRegistry } from './relocate-registry.ts';
import { addRehearse } from './relocate-rehearse.ts';
import { addRemodel } from './remodel.ts';
import type { Session } from './session.ts';

/** Runs one command line (without node and script) to its exit code. Never throws, never exits. */
export function runProgram(words: readonly string[], session: Session): Promise<number> {
  return runCommandLine(
    words,
    session,
    addEverything,
    'godwit migrate check --from mongodb://old-1/ --to mongodb://new-1/ --include shop',
  );
}

function addEverything(program: Command, session: Session, done: (exitCode: number) => void): void {
  addMigrate(program, session, done);
  addRemodel(program, session, done);
  addProtect(program, session, done);
  const relocate = addRelocate(program, session, done);
  addRegistry(relocate, session, done);
  addAdapt(relocate, session, done);
  addRehearse(relocate, session, done);
}
