/** Flags of the commands that move files, as options of the route. Whatever is wrong is GW1001. */
import { resolve } from 'node:path';
import { isSea } from 'node:sea';
import { type Command, Option } from 'commander';
import { GodwitError } from '../kernel/errors.ts';
import type { AgentOptions, CutoverOptions, ReceiveOptions } from '../routes/relocate/api.ts';

export function addConnectionFlags(command: Command): Command {
  return command
    .option('--tls-ca <FILE>', 'Certificates of the authority that signed the other side’s')
    .option('--tls-cert <FILE>', 'Our own certificate')
    .option('--tls-key <FILE>', 'Its private key')
    .option('--json', 'Answer in JSON, for programs');
}

const STATE = ['--state <DIR>', 'What the source remembers of the move', '.godwit/relocate-agent'] as const;

/** Of the commands that talk to the agent. */
export function addMoveFlags(command: Command): Command {
  return command.option(...STATE).option('--json', 'Answer in JSON, for programs');
}

/** How services are started and stopped, on either side. */
export function addTimeoutFlag(command: Command): Command {
  return command.option('--command-timeout <SECONDS>', 'How long such a command may take', '60');
}

export function addServiceFlags(command: Command): Command {
  return addTimeoutFlag(
    command
      .option('--name <NAME>', 'Of this move: what cutover, commit and rollback ask for as consent', 'default')
      .option('--stop-command <COMMAND>', 'Stops the services of the source at the cutover; ends with 0 when none runs')
      .option('--resume-command <COMMAND>', 'Lets them go on when a cutover is undone')
      .option(
        '--freeze-cgroup <DIR>',
        'Control group (version 2) whose processes are frozen at the cutover, and ended by commit',
      )
      .option(
        '--freeze-files <SECONDS>',
        'Freeze the file systems themselves, so long at most, while the last changes are sent and proved',
      ),
  );
}

export function addAgentFlags(command: Command): Command {
  return addConnectionFlags(
    command
      .addOption(
        new Option('--to <ADDRESS>', 'Where the target listens: HOST:PORT, or unix:/PATH').makeOptionMandatory(),
      )
      .addOption(
        new Option('--map </SOURCE=/TARGET...>', 'Directory of the source, and the one below --root that stands for it')
          .makeOptionMandatory()
          .argParser((value: string, before: string[] | undefined) => [...(before ?? []), value]),
      )
      .option(...STATE)
      .option('--retry-for <SECONDS>', 'How long a lost connection is tried again', '300'),
  );
}

export function addCopyFlags(command: Command): Command {
  return command
    .option('--once', 'Copy, prove and end, without following the source and without a cutover')
    .option('--dry-run', 'Count what there is and say what would not be carried; send nothing')
    .option('--rounds <N>', 'With --once: how many rounds may follow the first one', '8')
    .option('--log-changes <FILE>', 'Append a line of JSON for each change that is sent: name, type, place, hash')
    .option('--max-rate <BYTES>', 'Bytes a second at most: 10MB, 2.5MB, 500kB')
    .addOption(
      new Option('--compress <WHEN>', 'auto compresses when the link is what limits')
        .choices(['auto', 'always', 'never'])
        .default('auto'),
    );
}

type Flags = Readonly<Record<string, unknown>>;

export function agentOptions(flags: Flags): AgentOptions {
  return {
    address: text(flags, 'to'),
    tls: tlsOf(flags),
    mappings: (flags['map'] as string[]).map(mappingOf),
    state: resolve(text(flags, 'state')),
    compress: (flags['compress'] ?? 'auto') as AgentOptions['compress'],
    maxRate: flags['maxRate'] === undefined ? undefined : rateOf(String(flags['maxRate'])),
    rounds: whole('--rounds', flags['rounds'] ?? '8', 1, 1000),
    dryRun: flags['dryRun'] === true,
    name: text(flags, 'name'),
    once: flags['once'] === true,
    services: {
      stopCommand: textOf(flags['stopCommand']),
      resumeCommand: textOf(flags['resumeCommand']),
      freezeCgroup: textOf(flags['freezeCgroup']),
      freezeFiles:
        flags['freezeFiles'] === undefined ? undefined : whole('--freeze-files', flags['freezeFiles'], 1, 3_600),
      commandTimeout: timeoutOf(flags),
    },
    logChanges: flags['logChanges'] === undefined ? undefined : resolve(text(flags, 'logChanges')),
    retryFor: whole('--retry-for', flags['retryFor'] ?? '300', 0, 1_000_000),
    program: thisProgram(),
  };
}

/** How this program is started: by Node with its script, or, as one file, by itself. */
function thisProgram(): readonly string[] {
  return isSea() ? [process.execPath] : [process.execPath, ...process.execArgv, process.argv[1] ?? ''];
}

export function receiveOptions(flags: Flags): ReceiveOptions {
  const root = resolve(text(flags, 'root'));
  return {
    address: text(flags, 'listen'),
    tls: tlsOf(flags),
    root,
    // Beside the root, never below it.
    state: resolve(typeof flags['state'] === 'string' ? flags['state'] : `${root}.godwit`),
    replace: flags['replace'] === true,
    once: flags['once'] === true,
    startCommand: textOf(flags['startCommand']),
    stopCommand: textOf(flags['stopCommand']),
    commandTimeout: timeoutOf(flags),
  };
}

export function cutoverOptions(flags: Flags): CutoverOptions {
  return { maxStall: whole('--max-stall', flags['maxStall'] ?? '60', 1, 1_000_000), dryRun: flags['dryRun'] === true };
}

export function stateOf(flags: Flags): string {
  return resolve(text(flags, 'state'));
}

function timeoutOf(flags: Flags): number {
  return whole('--command-timeout', flags['commandTimeout'] ?? '60', 1, 100_000);
}

function mappingOf(given: string): AgentOptions['mappings'][number] {
  const cut = given.lastIndexOf('=');
  const [source, target] = cut < 0 ? [given, given] : [given.slice(0, cut), given.slice(cut + 1)];
  if (!source.startsWith('/') || !target.startsWith('/'))
    throw new GodwitError('GW1001', `--map ${given} is not valid; accepted: /SOURCE=/TARGET, both from the root`);
  return { source, target };
}

function tlsOf(flags: Flags): AgentOptions['tls'] {
  const [ca, cert, key] = ['tlsCa', 'tlsCert', 'tlsKey'].map((name) => flags[name]);
  if (ca === undefined && cert === undefined && key === undefined) return undefined;
  if (typeof ca !== 'string' || typeof cert !== 'string' || typeof key !== 'string')
    throw new GodwitError('GW1001', '--tls-ca, --tls-cert and --tls-key belong together');
  return { ca, cert, key };
}

const UNITS: Readonly<Record<string, number>> = { '': 1, B: 1, kB: 1e3, MB: 1e6, GB: 1e9, KiB: 1024, MiB: 1024 ** 2 };

function rateOf(given: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([a-zA-Z]*)$/.exec(given.trim());
  const unit = UNITS[match?.[2] ?? ''];
  const rate = Number(match?.[1] ?? 0) * (unit ?? 0);
  if (!(rate >= 1)) throw new GodwitError('GW1001', `--max-rate ${given} is not valid; accepted: 500kB, 10MB, 1.5GB`);
  return rate;
}

function whole(flag: string, given: unknown, least: number, most: number): number {
  const value = Number(given);
  if (!Number.isInteger(value) || value < least || value > most)
    throw new GodwitError(
      'GW1001',
      `${flag} ${String(given)} is not valid; accepted: a whole number from ${least} to ${most}`,
    );
  return value;
}

function textOf(given: unknown): string | undefined {
  return typeof given === 'string' ? given : undefined;
}

function text(flags: Flags, name: string): string {
  return String(flags[name]);
}
