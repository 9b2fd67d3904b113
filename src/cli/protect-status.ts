/** `godwit protect status`: once, or drawn again in place for as long as somebody looks. */
import type { Command } from 'commander';
import { systemClock } from '../kernel/clock.ts';
import { GodwitError } from '../kernel/errors.ts';
import type { RoleStatus } from '../routes/protect/api.ts';
import { paintOf, printJson, printLines, type Session } from './session.ts';
import { openLiveBlock } from './view/live-block.ts';
import { protectBlock } from './view/protect-block.ts';
import { protectLine } from './view/protect-line.ts';
import { Paces } from './view/protect-paces.ts';
import { promotionText } from './view/protect-text.ts';

type Flags = Readonly<Record<string, unknown>>;

const WATCH_EVERY_MS = 500;
/** Of lines in a log, where nothing changes but numbers. */
const LINE_EVERY_MS = 5_000;
/** Where nobody says how wide it is, nothing is cut. */
const COLUMNS = 1000;

export function addStatus(protect: Command, session: Session, done: (exitCode: number) => void): void {
  protect
    .command('status')
    .description('What the role that works with a state directory says of itself')
    .requiredOption('--state <DIR>', 'Its state directory')
    .option('--watch', 'Go on, drawn in place; a line now and then where that is no terminal')
    .option('--json', 'Answer in JSON, for programs; with --watch a line twice a second')
    .addHelpText('after', '\nExample:\n  godwit protect status --state /srv/protect --watch')
    .action(async (flags: Flags) => {
      if (flags['watch'] === true) await watch(session, flags);
      else await once(session, flags);
      done(0);
    });
}

async function once(session: Session, flags: Flags): Promise<void> {
  const status = await ask(session, flags);
  if (status === undefined) throw new GodwitError('GW3001', 'The role is still being opened; ask again');
  if (flags['json'] === true) {
    printJson(session, status);
    return;
  }
  const columns = session.io.isTerminal ? session.io.size().columns : COLUMNS;
  const paint = paintOf(session);
  const promotion = status.role === 'dr' ? status.promotion : undefined;
  printLines(session, [
    ...protectBlock(status, { columns, paint }),
    ...(promotion ? ['', ...promotionText(promotion, paint)] : []),
  ]);
}

async function ask(session: Session, flags: Flags): Promise<RoleStatus | undefined> {
  const route = await session.loadProtect();
  return await route.status(String(flags['state']), session.signal);
}

/** Until somebody stops looking, which is no failure; a role that ends is waited for. */
async function watch(session: Session, flags: Flags): Promise<void> {
  const { io, signal } = session;
  const show = flags['json'] === true ? showJson(session) : io.isTerminal ? showLive(session) : showLines(session);
  try {
    while (!signal.aborted) {
      show.status(await ask(session, flags).catch((error: unknown) => absent(error)));
      await systemClock.sleep(WATCH_EVERY_MS, signal).catch(() => undefined);
    }
  } finally {
    show.close();
  }
}

/** No role there now is something to show; all else ends the watch. */
function absent(error: unknown): undefined {
  if (error instanceof GodwitError && ['GW1001', 'GW3001', 'GW8001'].includes(error.code)) return undefined;
  throw error;
}

interface Show {
  /** Nothing: no role works with that directory now. */
  status(status: RoleStatus | undefined): void;
  close(): void;
}

function showJson(session: Session): Show {
  return { status: (status) => status && printJson(session, status), close: () => {} };
}

function showLive(session: Session): Show {
  const block = openLiveBlock(session.io);
  const paint = paintOf(session);
  const paces = new Paces();
  let last: RoleStatus | undefined;
  return {
    status: (status) => {
      if (status !== undefined) paces.saw(status, performance.now());
      last = status ?? last;
      const shown = last;
      block.draw(({ columns }) => [
        ...(status === undefined ? [paint.yellow('no role works with this directory now; waiting for it')] : []),
        ...(shown === undefined ? [] : protectBlock(shown, { columns, paint, paces })),
      ]);
    },
    close: () => block.close(),
  };
}

/** A line at each change of phase or mode, and now and then between. */
function showLines(session: Session): Show {
  const paces = new Paces();
  let before = '';
  let at = Number.NEGATIVE_INFINITY;
  return {
    status: (status) => {
      const now = performance.now();
      if (status !== undefined) paces.saw(status, now);
      const { key, line } = protectLine(status, paces);
      if (key === before && now - at < LINE_EVERY_MS) return;
      before = key;
      at = now;
      printLines(session, [line]);
    },
    close: () => {},
  };
}
