/** Where the events of a run are shown: a live block, plain lines, or JSON lines. */
import type { MigrateStatus, RunEvent } from '../../routes/migrate/api.ts';
import type { Io } from '../io.ts';
import { makePaint, wantsColour } from '../paint.ts';
import { clip } from './layout.ts';
import { openLiveBlock } from './live-block.ts';
import { mediumBlock, mediumLine } from './medium-lines.ts';
import { eventLine, statusLine } from './plain-lines.ts';
import { statusBlock } from './status-block.ts';

export interface RunView {
  show(event: RunEvent): void;
  /** Draws what is still held back. Nothing is shown afterwards. */
  close(): void;
}

export function openRunView(io: Io, json: boolean): RunView {
  if (json) return { show: (event) => io.out(`${JSON.stringify(event)}\n`), close: () => {} };
  return io.isTerminal ? liveView(io) : plainView(io);
}

function liveView(io: Io): RunView {
  const paint = makePaint(wantsColour(io.env, true));
  const block = openLiveBlock(io);
  return {
    show: (event) => {
      if (event.type === 'event') block.above(paint.dim(clip(eventLine(event), io.size().columns)));
      else if (event.type === 'medium') block.draw((size) => mediumBlock(event.progress, size.columns));
      else block.draw((size) => statusBlock(event.status, { ...size, paint }));
    },
    close: () => block.close(),
  };
}

const EARLY_MS = 30_000;
const EARLY_EVERY_MS = 1_000;
const LATER_EVERY_MS = 5_000;

/** A line at each change of phase or of what holds the run up, and now and then between. */
function plainView(io: Io): RunView {
  let held: MigrateStatus | undefined;
  let lastKey = '';
  let lastAt = Number.NEGATIVE_INFINITY;
  let firstAt: number | undefined;
  let mediumAt = Number.NEGATIVE_INFINITY;
  let step = '';
  const print = (status: MigrateStatus, now: number) => {
    io.out(`${statusLine(status)}\n`);
    lastKey = keyOf(status);
    lastAt = now;
    held = undefined;
  };
  return {
    show: (event) => {
      if (event.type === 'event') return io.out(`${eventLine(event)}\n`);
      if (event.type === 'medium') {
        const { progress } = event;
        const at = Date.parse(progress.at);
        firstAt ??= at;
        if (progress.step === step && at - mediumAt < (at - firstAt < EARLY_MS ? EARLY_EVERY_MS : LATER_EVERY_MS))
          return;
        mediumAt = at;
        step = progress.step;
        return io.out(`${mediumLine(progress)}\n`);
      }
      const now = Date.parse(event.status.at);
      firstAt ??= now;
      const every = now - firstAt < EARLY_MS ? EARLY_EVERY_MS : LATER_EVERY_MS;
      if (keyOf(event.status) !== lastKey || now - lastAt >= every) print(event.status, now);
      else held = event.status;
    },
    close: () => {
      if (held) print(held, lastAt);
    },
  };
}

function keyOf(status: MigrateStatus): string {
  const { phase, paused, throttled, fault, verify } = status;
  return JSON.stringify([phase, paused !== null, throttled !== null, fault?.code ?? null, verify.state]);
}
