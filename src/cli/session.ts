import type { AdaptRoute } from '../routes/relocate/adapt/api.ts';
import type { RelocateRoute } from '../routes/relocate/api.ts';
import type { RegistryRoute } from '../routes/relocate/registry/api.ts';
import type { RehearseRoute } from '../routes/relocate/rehearse/api.ts';
import type { Io } from './io.ts';
import type { MigrateRoute } from './migrate-route.ts';
import { makePaint, type Paint, wantsColour } from './paint.ts';
import type { RemodelRoute } from './remodel-route.ts';

/** What every command is given. */
export interface Session {
  readonly io: Io;
  /** Set by the first SIGINT or SIGTERM. */
  readonly signal: AbortSignal;
  readonly version: string;
  readonly loadMigrate: () => Promise<MigrateRoute>;
  readonly loadRemodel: () => Promise<RemodelRoute>;
  readonly loadProtect: () => Promise<typeof import('../routes/protect/index.ts')>;
  readonly loadAdapt: () => Promise<AdaptRoute>;
  readonly loadRegistry: () => Promise<RegistryRoute>;
  readonly loadRehearse: () => Promise<RehearseRoute>;
  readonly loadRelocate: () => Promise<RelocateRoute>;
}

export function paintOf({ io }: Session): Paint {
  return makePaint(wantsColour(io.env, io.isTerminal));
}

export function printLines({ io }: Session, lines: readonly string[]): void {
  io.out(`${lines.join('\n')}\n`);
}

export function printJson({ io }: Session, value: unknown): void {
  io.out(`${JSON.stringify(value)}\n`);
}
