import { systemClock } from '../kernel/clock.ts';
import { GodwitError } from '../kernel/errors.ts';
import { isFinal } from '../kernel/phase.ts';
import type { MigrateStatus } from '../routes/migrate/api.ts';
import { type OptionSources, parseForCommand } from '../routes/migrate/options.ts';
import { namesRun } from './migrate-flags.ts';
import type { MigrateRoute } from './migrate-route.ts';
import { paintOf, printJson, printLines, type Session } from './session.ts';
import { runList } from './view/result-text.ts';
import { openRunView } from './view/run-view.ts';
import { statusBlock } from './view/status-block.ts';

const WATCH_EVERY_MS = 1_000;

export interface StatusFlags {
  readonly json: boolean;
  readonly watch: boolean;
}

export async function statusCommand(session: Session, sources: OptionSources, flags: StatusFlags): Promise<number> {
  const route = await session.loadMigrate();
  const { state, run } = parseForCommand(sources);
  const names = namesRun(sources) ? [run] : route.runs(state);
  const [only] = names;
  if (only === undefined) throw new GodwitError('GW1002', `${state} holds no run`, { details: { state } });
  if (flags.watch) {
    if (names.length > 1) throw new GodwitError('GW1001', `--watch needs --run; ${state} holds ${names.join(', ')}`);
    return await watch(session, route, state, only, flags.json);
  }
  if (names.length === 1) showOne(session, route.status(state, only), flags.json);
  else
    showAll(
      session,
      names.map((name) => route.status(state, name)),
      flags.json,
    );
  return 0;
}

function showOne(session: Session, status: MigrateStatus, json: boolean): void {
  if (json) {
    printJson(session, status);
    return;
  }
  const columns = session.io.isTerminal ? session.io.size().columns : 100;
  printLines(session, statusBlock(status, { columns, rows: 100, paint: paintOf(session) }));
}

function showAll(session: Session, statuses: readonly MigrateStatus[], json: boolean): void {
  if (json) printJson(session, { version: 1, runs: statuses });
  else printLines(session, runList(statuses, paintOf(session)));
}

/** Follows a run until it has nothing left to do, or until somebody stops looking, which is no failure. */
async function watch(
  session: Session,
  route: MigrateRoute,
  state: string,
  run: string,
  json: boolean,
): Promise<number> {
  const view = openRunView(session.io, json);
  try {
    while (!session.signal.aborted) {
      const status = route.status(state, run);
      view.show({ type: 'status', status });
      if (isFinal(status.phase)) break;
      await systemClock.sleep(WATCH_EVERY_MS, session.signal);
    }
  } finally {
    view.close();
  }
  return 0;
}
