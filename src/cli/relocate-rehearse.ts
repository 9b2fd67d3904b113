/** `godwit relocate rehearse`: boot a clone of the moved system and ask its services, while the source runs. */
import { join, resolve } from 'node:path';
import { type Command, Option } from 'commander';
import { exitCodeOf } from '../kernel/codes.ts';
import { GodwitError } from '../kernel/errors.ts';
import type { RehearseOptions, RehearseRoute } from '../routes/relocate/rehearse/api.ts';
import { paintOf, printJson, printLines, type Session } from './session.ts';
import { openLiveBlock } from './view/live-block.ts';
import { rehearseEventLine, rehearseProgressLines, rehearseText } from './view/rehearse-text.ts';

export function addRehearse(relocate: Command, session: Session, done: (exitCode: number) => void): void {
  relocate
    .command('rehearse')
    .description('On the target: boot a clone of the moved system in a virtual machine, and ask its services')
    .requiredOption('--root <DIR>', 'Its root, with its file systems mounted as it is to have them')
    .option(
      '--probe <PROBE>',
      'http://:8080/health, https://NAME/, tcp:5432 or exec:COMMAND in the clone; repeatable',
      (value: string, before: string[] | undefined) => [...(before ?? []), value],
    )
    .option('--timeout <SECONDS>', 'From the start of the clone until everything has answered', '600')
    .option('--address <IP/PREFIX>', 'Of the clone, where its configuration has more than one')
    .option('--memory <MIB>', 'Of the clone', '1024')
    .addOption(
      new Option('--accelerator <NAME>', 'kvm, or tcg: slow, and everywhere')
        .choices(['auto', 'kvm', 'tcg'])
        .default('auto'),
    )
    .option('--state <DIR>', 'Of the receiver (default: the root’s name with .godwit)')
    .option('--work <DIR>', 'Where the clone writes; not below the root (default: rehearsal in --state)')
    .option('--json', 'Answer in JSON, for programs')
    .addHelpText(
      'after',
      "\nExample:\n  godwit relocate rehearse --root /mnt/new --probe http://:8080/health --probe tcp:5432 --probe 'exec:systemctl is-active shop'",
    )
    .action(async (flags: Record<string, unknown>) => {
      const route = await session.loadRehearse();
      done(await run(session, route, optionsOf(flags, route), flags['json'] === true));
    });
}

async function run(session: Session, route: RehearseRoute, options: RehearseOptions, isJson: boolean): Promise<number> {
  const { io, signal } = session;
  const paint = paintOf(session);
  const block = isJson || !io.isTerminal ? undefined : openLiveBlock(io);
  let saidAt = 0;
  try {
    const result = await route.rehearse(options, {
      signal,
      onEvent: (event) => {
        if (isJson) return printJson(session, event);
        const line = rehearseEventLine(event, paint);
        if (block) block.above(line);
        else printLines(session, [line]);
      },
      onProgress: (progress) => {
        const now = performance.now();
        if (block) return block.draw((size) => rehearseProgressLines(progress, size.columns));
        if (now - saidAt < 10_000) return;
        saidAt = now;
        if (isJson) printJson(session, { type: 'progress', ...progress });
        else printLines(session, rehearseProgressLines(progress, 120).slice(0, 1));
      },
    });
    block?.draw(() => []);
    block?.close();
    if (isJson) printJson(session, { type: 'result', result });
    else printLines(session, rehearseText(result, paint));
    return result.outcome === 'passed' ? 0 : exitCodeOf('GW6402');
  } finally {
    block?.close();
  }
}

function optionsOf(flags: Record<string, unknown>, route: RehearseRoute): RehearseOptions {
  const root = resolve(String(flags['root']));
  const state = typeof flags['state'] === 'string' ? resolve(flags['state']) : `${root}.godwit`;
  return {
    root,
    state,
    work: typeof flags['work'] === 'string' ? resolve(flags['work']) : join(state, 'rehearsal'),
    probes: ((flags['probe'] as string[] | undefined) ?? []).map((text) => route.parseProbe(text)),
    timeout: whole('--timeout', flags['timeout'], 1, 1_000_000),
    address: typeof flags['address'] === 'string' ? flags['address'] : undefined,
    megabytes: whole('--memory', flags['memory'], 128, 10_000_000),
    accelerator: flags['accelerator'] as RehearseOptions['accelerator'],
  };
}

function whole(flag: string, given: unknown, least: number, most: number): number {
  const value = Number(given);
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  throw new GodwitError(
    'GW1001',
    `${flag} ${String(given)} is not valid; accepted: a whole number from ${least} to ${most}`,
  );
}
