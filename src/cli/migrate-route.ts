import type {
  CheckReport,
  CommandArgs,
  CommandName,
  CommandResult,
  ExportOptions,
  ExportResult,
  ImportOptions,
  MigrateOptions,
  MigrateStatus,
  RunEvent,
  SpoolStatus,
} from '../routes/migrate/api.ts';
import type { RunAddress, SpoolOptions } from '../routes/migrate/options.ts';

interface Hooks {
  readonly signal: AbortSignal;
  readonly onEvent: (event: RunEvent) => void;
}

interface SpoolHooks {
  readonly signal: AbortSignal;
  readonly onStatus: (status: SpoolStatus) => void;
}

/** The route as the commands use it. It is loaded when a command runs, so that help is fast; tests give their own. */
export interface MigrateRoute {
  check(options: MigrateOptions, signal: AbortSignal): Promise<CheckReport>;
  run(options: MigrateOptions, hooks: Hooks): Promise<CommandResult>;
  spool(options: SpoolOptions, hooks: SpoolHooks): Promise<SpoolStatus>;
  exportMedium(options: ExportOptions, hooks: Hooks): Promise<ExportResult>;
  importMedium(options: ImportOptions, hooks: Hooks): Promise<CommandResult>;
  status(stateDir: string, runName: string): MigrateStatus;
  runs(stateDir: string): readonly string[];
  command(
    name: CommandName,
    options: MigrateOptions | RunAddress,
    args: CommandArgs,
    hooks: Hooks,
  ): Promise<CommandResult>;
}
