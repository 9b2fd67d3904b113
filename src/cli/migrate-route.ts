import type {
  CheckReport,
  CommandArgs,
  CommandName,
  CommandResult,
  MigrateOptions,
  MigrateStatus,
  RunEvent,
} from '../routes/migrate/api.ts';
import type { RunAddress } from '../routes/migrate/options.ts';

interface Hooks {
  readonly signal: AbortSignal;
  readonly onEvent: (event: RunEvent) => void;
}

/** The route as the commands use it. It is loaded when a command runs, so that help is fast; tests give their own. */
export interface MigrateRoute {
  check(options: MigrateOptions, signal: AbortSignal): Promise<CheckReport>;
  run(options: MigrateOptions, hooks: Hooks): Promise<CommandResult>;
  status(stateDir: string, runName: string): MigrateStatus;
  runs(stateDir: string): readonly string[];
  command(
    name: CommandName,
    options: MigrateOptions | RunAddress,
    args: CommandArgs,
    hooks: Hooks,
  ): Promise<CommandResult>;
}
