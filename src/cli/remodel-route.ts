import type {
  RemodelArgs,
  RemodelCommand,
  RemodelEvent,
  RemodelOptions,
  RemodelResult,
  RemodelStatus,
} from '../routes/remodel/api.ts';

interface Hooks {
  readonly signal: AbortSignal;
  readonly onEvent: (event: RemodelEvent) => void;
}

/** The route as the commands use it. It is loaded when a command runs, so that help is fast; tests give their own. */
export interface RemodelRoute {
  command(
    name: Exclude<RemodelCommand, 'init' | 'status'>,
    options: RemodelOptions,
    args: RemodelArgs,
    hooks: Hooks,
  ): Promise<RemodelResult>;
  status(options: RemodelOptions, hooks: Hooks): Promise<RemodelStatus>;
  watchStatus(
    options: RemodelOptions,
    hooks: Hooks,
    everyMs: number,
    show: (status: RemodelStatus) => void,
  ): Promise<void>;
  init(options: RemodelOptions, args: RemodelArgs, hooks: Hooks): Promise<RemodelResult>;
}
