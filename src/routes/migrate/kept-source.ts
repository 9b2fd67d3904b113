import { blockAfter, type OplogSource, secondsOf } from '../../adapters/mongodb/index.ts';
import type { Clock } from '../../kernel/clock.ts';
import { GodwitError } from '../../kernel/errors.ts';
import type { ChangeSource, LogBlock } from '../../kernel/ports.ts';
import { laterOf, type Position } from '../../kernel/position.ts';
import { readKeptLog, readSpool, spoolBounds } from '../../state/index.ts';
import type { RunPlan } from './plan.ts';

const LOOK_EVERY_MS = 500;

/**
 * The source's log, and where the source has forgotten, what `migrate spool`
 * kept of it: changes come from the kept log up to a place that the source
 * still has, and from the source from there on.
 */
export class KeptSource implements ChangeSource {
  readonly #server: OplogSource;
  readonly #dir: string;
  readonly #plan: RunPlan;
  readonly #clock: Clock;
  readonly #onSwitch: (kind: string, data: Record<string, unknown>) => void;

  constructor(parts: {
    readonly server: OplogSource;
    readonly dir: string;
    readonly plan: RunPlan;
    readonly clock: Clock;
    /** Told when the log begins to come from the kept one. */
    readonly onSwitch: (kind: string, data: Record<string, unknown>) => void;
  }) {
    this.#server = parts.server;
    this.#dir = parts.dir;
    this.#plan = parts.plan;
    this.#clock = parts.clock;
    this.#onSwitch = parts.onSwitch;
  }

  mark(signal: AbortSignal): Promise<Position> {
    return this.#server.mark(signal);
  }

  async horizon(): Promise<Position> {
    const bounds = await spoolBounds(readKeptLog(this.#dir).spoolDir);
    const server = await this.#server.horizon();
    return bounds && bounds.end >= server ? bounds.after : server;
  }

  async *stream(after: Position, signal: AbortSignal): AsyncIterable<LogBlock> {
    let reached = after;
    try {
      for await (const block of this.#server.stream(reached, signal)) {
        yield block;
        reached = block.last;
      }
      return;
    } catch (error) {
      if (!isForgotten(error)) throw error;
    }
    for await (const block of this.#kept(reached, signal)) {
      yield block;
      reached = block.last;
    }
    // From here on the source has it again.
    if (!signal.aborted) yield* this.#server.stream(reached, signal);
  }

  /** What is kept after a position, up to where the source can go on. */
  async *#kept(after: Position, signal: AbortSignal): AsyncIterable<LogBlock> {
    const { about, spoolDir, isWritten } = readKeptLog(this.#dir);
    assertCovers(this.#dir, about, this.#plan);
    let reached = after;
    let told = false;
    while (!signal.aborted) {
      const written = isWritten();
      const bounds = await spoolBounds(spoolDir);
      const begin = laterOf(bounds?.after ?? about.start, about.start);
      if (reached < begin) {
        throw new GodwitError(
          'GW4001',
          `Neither the source nor the kept log ${this.#dir} reaches back to the position`,
          {
            details: { reached, kept: begin },
          },
        );
      }
      if (!told) {
        told = true;
        this.#onSwitch('log-from-spool', {
          folder: this.#dir,
          from: timeOf(reached),
          upTo: timeOf(bounds?.end ?? reached),
        });
      }
      for await (const block of readSpool(spoolDir, reached)) {
        if (signal.aborted) return;
        const rest = blockAfter(block, reached);
        if (!rest) continue;
        yield rest;
        reached = rest.last;
      }
      const oldest = await this.#server.horizon();
      if (oldest <= reached) return;
      if (!written) {
        throw new GodwitError('GW4001', `The kept log ${this.#dir} ends before the source's log begins`, {
          details: { reached, oldest },
        });
      }
      await this.#clock.sleep(LOOK_EVERY_MS, signal);
    }
  }
}

function isForgotten(error: unknown): boolean {
  return error instanceof GodwitError && error.code === 'GW4001';
}

function timeOf(position: Position): string {
  return new Date(secondsOf(position) * 1000).toISOString();
}

/** Throws GW1003 unless the kept log is of this source and holds all that the run needs. */
function assertCovers(
  dir: string,
  about: { sourceId: string; source: string; include: readonly string[]; exclude: readonly string[] },
  plan: RunPlan,
): void {
  const wrong: string[] = [];
  if (about.sourceId !== plan.sourceId) wrong.push(`it is the log of ${about.source}`);
  const everything = about.include.length === 0 && about.exclude.length === 0;
  const included =
    about.include.length === 0 || (plan.include.length > 0 && plan.include.every((one) => about.include.includes(one)));
  const excluded = about.exclude.every((one) => plan.exclude.includes(one));
  if (!everything && !(included && excluded)) {
    const words = [
      `--include ${about.include.join(', ') || 'all'}`,
      ...(about.exclude.length > 0 ? [`--exclude ${about.exclude.join(', ')}`] : []),
    ];
    wrong.push(`it was kept with ${words.join(' ')}`);
  }
  if (wrong.length === 0) return;
  throw new GodwitError('GW1003', `--spool ${dir} does not serve this run: ${wrong.join('; ')}`, { details: { dir } });
}
