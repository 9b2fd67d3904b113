/** Shows how far a long request to a role has come, while it is waited for. */
import { systemClock } from '../kernel/clock.ts';
import { dataSize, percent, timeSpan } from '../routes/migrate/report/format.ts';
import type { RoleStatus } from '../routes/protect/api.ts';
import type { Session } from './session.ts';
import { bar, joinFitting } from './view/layout.ts';
import { openLiveBlock } from './view/live-block.ts';

const LOOK_EVERY_MS = 500;
const LINE_EVERY_MS = 5_000;

export interface Progress {
  readonly done: number;
  readonly total: number;
  readonly note: string;
}

export interface ProgressOptions {
  readonly what: string;
  readonly state: string;
  /** Nothing is shown. */
  readonly quiet: boolean;
  /** Nothing: it has not begun, or is over. */
  readonly of: (status: RoleStatus) => Progress | undefined;
}

export async function withProgress<T>(session: Session, options: ProgressOptions, work: Promise<T>): Promise<T> {
  if (options.quiet) return await work;
  const over = new AbortController();
  const shown = show(session, options, over.signal);
  try {
    return await work;
  } finally {
    over.abort();
    await shown;
  }
}

async function show(session: Session, { what, state, of }: ProgressOptions, over: AbortSignal): Promise<void> {
  const { io } = session;
  const route = await session.loadProtect();
  const block = io.isTerminal ? openLiveBlock(io) : undefined;
  let began: { readonly at: number; readonly done: number } | undefined;
  let told = performance.now();
  while (!over.aborted) {
    await systemClock.sleep(LOOK_EVERY_MS, over).catch(() => undefined);
    if (over.aborted) break;
    const status = await route.status(state, over).catch(() => undefined);
    const progress = status && of(status);
    if (progress === undefined) continue;
    const now = performance.now();
    began ??= { at: now, done: progress.done };
    const rate = now - began.at < 100 ? 0 : ((progress.done - began.done) * 1000) / (now - began.at);
    const line = (columns: number) => lineOf(what, progress, rate, columns);
    if (block !== undefined) block.draw(({ columns }) => [line(columns)]);
    else if (now - told > LINE_EVERY_MS) {
      told = now;
      io.out(`${line(1000)}\n`);
    }
  }
  // What comes after it takes its place.
  block?.draw(() => []);
  block?.close();
}

function lineOf(what: string, { done, total, note }: Progress, rate: number, columns: number): string {
  const parts = [
    `${what}  ${bar(done, total, 20)} ${percent(done, total)}`,
    `${dataSize(done)} of ${dataSize(total)}`,
    rate > 0 ? `${dataSize(rate)}/s` : '',
    rate > 0 && done < total ? `${timeSpan((total - done) / rate)} left` : '',
    note,
  ];
  return joinFitting(parts, columns);
}
