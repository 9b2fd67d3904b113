import type { Command } from 'commander';
import type { Session } from './session.ts';

/** Routes that the design has and this version has not. They say so rather than hide. */
const PLANNED = {
  relocate: 'move a whole server to different hardware while it runs',
  protect: 'keep every write of a volume at a disaster-recovery site',
} as const;

export function addPlanned(program: Command, session: Session, done: (exitCode: number) => void): void {
  for (const [name, purpose] of Object.entries(PLANNED)) {
    program
      .command(name)
      .description(`${purpose[0]?.toUpperCase()}${purpose.slice(1)} (not in this version)`)
      .allowUnknownOption()
      .allowExcessArguments()
      .action((_flags: unknown, command: Command) => {
        const message = `godwit ${name} is not there yet in version ${session.version}; it will ${purpose}`;
        if (command.args.includes('--json')) {
          const error = {
            code: 'GW1001',
            message,
            hint: 'Use `godwit migrate`, or wait for a later version.',
            details: {},
          };
          session.io.out(`${JSON.stringify({ version: 1, error })}\n`);
        } else {
          session.io.err(`${message}\n`);
        }
        done(2);
      });
  }
}
