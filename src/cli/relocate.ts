/** The `relocate` command: move files of a running server to another one, and prove it. */
import { createInterface } from 'node:readline';
import type { Command } from 'commander';
import { exitCodeOf } from '../kernel/codes.ts';
import type { AgentResult, RelocateEvent } from '../routes/relocate/api.ts';
import {
  addAgentFlags,
  addConnectionFlags,
  addCopyFlags,
  addServiceFlags,
  addTimeoutFlag,
  agentOptions,
  receiveOptions,
} from './relocate-flags.ts';
import { addMoveCommands } from './relocate-move.ts';
import { paintOf, printJson, printLines, type Session } from './session.ts';
import { openLiveBlock } from './view/live-block.ts';
import { agentResultText, progressLines, relocateEventLine } from './view/relocate-text.ts';

export function addRelocate(program: Command, session: Session, done: (exitCode: number) => void): Command {
  const relocate = program
    .command('relocate')
    .description(
      'Move directories of a running server to another one, with everything that belongs to them, prove it, and cut over',
    );

  const agent = relocate
    .command('agent')
    .description('On the source: read the directories and send them to the target');
  addServiceFlags(addCopyFlags(addAgentFlags(agent)))
    .addHelpText(
      'after',
      example(
        "agent --to new-1:7070 --map /srv=/srv --stop-command 'systemctl stop shop' --resume-command 'systemctl start shop' --tls-ca ca.pem --tls-cert a.pem --tls-key a.key",
      ),
    )
    .action(async (flags: Record<string, unknown>) => {
      const options = agentOptions(flags);
      done(await runAgent(session, flags['json'] === true, (hooks, route) => route.agent(options, hooks)));
    });

  const receive = relocate
    .command('receive')
    .description('On the target: write what a source sends below a root, and never outside of it');
  addConnectionFlags(
    receive
      .requiredOption('--listen <ADDRESS>', 'HOST:PORT, or unix:/PATH')
      .requiredOption('--root <DIR>', 'Everything is written below it')
      .option('--state <DIR>', 'What the target remembers of the move (default: the root’s name with .godwit)')
      .option('--replace', 'The directories may hold files: only differences come, and what the source has not goes')
      .option('--once', 'End when a source has said goodbye')
      .option('--start-command <COMMAND>', 'Starts the services below the root at the cutover; ends when they run')
      .option('--stop-command <COMMAND>', 'Stops them when it is rolled back; ends with 0 when none runs'),
  );
  addTimeoutFlag(receive)
    .addHelpText(
      'after',
      example(
        "receive --listen :7070 --root /mnt/new --start-command 'systemctl start shop' --stop-command 'systemctl stop shop' --tls-ca ca.pem --tls-cert b.pem --tls-key b.key",
      ),
    )
    .action(async (flags: Record<string, unknown>) => {
      const isJson = flags['json'] === true;
      const paint = paintOf(session);
      const onEvent = (event: RelocateEvent) =>
        isJson ? printJson(session, event) : printLines(session, [relocateEventLine(event, paint)]);
      const route = await session.loadRelocate();
      const result = await route.receive(receiveOptions(flags), { signal: session.signal, onEvent });
      if (isJson) printJson(session, { type: 'result', result });
      done(0);
    });

  const verify = relocate
    .command('verify')
    .description('On the source: read everything on both sides and compare; send nothing');
  addAgentFlags(verify)
    .addHelpText(
      'after',
      example('verify --to new-1:7070 --map /srv/www=/srv/www --tls-ca ca.pem --tls-cert a.pem --tls-key a.key'),
    )
    .action(async (flags: Record<string, unknown>) => {
      const options = agentOptions(flags);
      done(await runAgent(session, flags['json'] === true, (hooks, route) => route.verify(options, hooks)));
    });
  // Started by the agent, for nobody else (see routes/relocate/guard.ts).
  relocate.command('guard', { hidden: true }).action(async () => {
    const { guard } = await session.loadRelocate();
    await guard(createInterface({ input: process.stdin }), () => session.io.out('ready\n'));
    done(0);
  });
  addMoveCommands(relocate, session, done);
  return relocate;
}

function example(words: string): string {
  return `\nExample:\n  godwit relocate ${words}`;
}

type Route = Awaited<ReturnType<Session['loadRelocate']>>;
type Hooks = Parameters<Route['agent']>[1];

async function runAgent(
  session: Session,
  isJson: boolean,
  work: (hooks: Hooks, route: Route) => Promise<AgentResult>,
): Promise<number> {
  const { io, signal } = session;
  const paint = paintOf(session);
  const block = isJson || !io.isTerminal ? undefined : openLiveBlock(io);
  let saidAt = 0;
  try {
    const route = await session.loadRelocate();
    const hooks: Hooks = {
      signal,
      onEvent: (event) => {
        if (isJson) printJson(session, event);
        else if (block) block.above(relocateEventLine(event, paint));
        else printLines(session, [relocateEventLine(event, paint)]);
      },
      onProgress: (progress) => {
        if (isJson) printJson(session, { type: 'progress', ...progress });
        else if (block) block.draw(() => progressLines(progress));
        else if (performance.now() - saidAt > 10_000) {
          saidAt = performance.now();
          printLines(session, progressLines(progress));
        }
      },
    };
    const result = await work(hooks, route);
    block?.draw(() => []);
    block?.close();
    if (isJson) printJson(session, { type: 'result', result });
    else printLines(session, agentResultText(result, paint));
    return result.outcome === 'not-proven' ? exitCodeOf('GW6401') : 0;
  } finally {
    block?.close();
  }
}
