/** `godwit remodel …`: one function a command, each answering its exit code. */
import { exitCodeOf } from '../kernel/codes.ts';
import type { RemodelArgs, RemodelCommand, RemodelEvent, RemodelResult } from '../routes/remodel/api.ts';
import { parseRemodelOptions, type RemodelSources } from '../routes/remodel/options.ts';
import { paintOf, printJson, printLines, type Session } from './session.ts';
import { openLiveBlock } from './view/live-block.ts';
import { remodelStatusBlock } from './view/remodel-status-block.ts';
import { remodelEventLine, remodelResultText } from './view/remodel-text.ts';

const WATCH_EVERY_MS = 1_000;

export async function remodelCommand(
  session: Session,
  name: Exclude<RemodelCommand, 'init' | 'status'>,
  sources: RemodelSources,
  args: RemodelArgs,
  json: boolean,
): Promise<number> {
  const options = parseRemodelOptions(sources);
  const route = await session.loadRemodel();
  return answer(session, await route.command(name, options, args, hooksOf(session, json)), json);
}

export async function initCommand(
  session: Session,
  sources: RemodelSources,
  args: RemodelArgs,
  json: boolean,
): Promise<number> {
  const options = parseRemodelOptions(sources, ['db']);
  const route = await session.loadRemodel();
  return answer(session, await route.init(options, args, hooksOf(session, json)), json);
}

export async function remodelStatusCommand(
  session: Session,
  sources: RemodelSources,
  flags: { readonly json: boolean; readonly watch: boolean },
): Promise<number> {
  const options = parseRemodelOptions(sources);
  const route = await session.loadRemodel();
  const { io } = session;
  const hooks = hooksOf(session, flags.json);
  const columns = io.isTerminal ? io.size().columns : 100;
  if (!flags.watch) {
    const status = await route.status(options, hooks);
    if (flags.json) printJson(session, status);
    else printLines(session, remodelStatusBlock(status, { columns, rows: 100, paint: paintOf(session) }));
    return 0;
  }
  const block = flags.json || !io.isTerminal ? undefined : openLiveBlock(io);
  try {
    await route.watchStatus(options, hooks, WATCH_EVERY_MS, (status) => {
      if (flags.json) printJson(session, { type: 'status', status });
      else if (block) block.draw((size) => remodelStatusBlock(status, { ...size, paint: paintOf(session) }));
      else printLines(session, [...remodelStatusBlock(status, { columns, rows: 100, paint: paintOf(session) }), '']);
    });
  } finally {
    block?.close();
  }
  return 0;
}

/** In JSON the one answer is a single object, so what happens meanwhile is not shown. */
function hooksOf(session: Session, json: boolean): { signal: AbortSignal; onEvent: (event: RemodelEvent) => void } {
  const paint = paintOf(session);
  return {
    signal: session.signal,
    onEvent: (event) => {
      if (!json) printLines(session, [remodelEventLine(event, paint)]);
    },
  };
}

function answer(session: Session, result: RemodelResult, json: boolean): number {
  if (json) printJson(session, result);
  else printLines(session, remodelResultText(result, paintOf(session)));
  return exitCodeFor(result);
}

/** Bad news is an answer, not an error, but programs must see it: a closed gate as GW6003, a difference as GW6001. */
function exitCodeFor(result: RemodelResult): number {
  if (result.ok) return 0;
  if (result.command === 'check') return exitCodeOf('GW1006');
  return exitCodeOf(result.dryRun ? 'GW6003' : 'GW6001');
}
