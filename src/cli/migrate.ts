/** The `migrate` command with its subcommands, their help and examples. */
import type { Command } from 'commander';
import type { CommandName } from '../routes/migrate/api.ts';
import { checkCommand, exportCommand, importCommand, otherCommand, runCommand } from './migrate-commands.ts';
import { addOptionFlags, sourcesOf } from './migrate-flags.ts';
import { spoolCommand } from './migrate-spool.ts';
import { statusCommand } from './migrate-status.ts';
import type { Session } from './session.ts';

interface OtherCommand {
  readonly name: CommandName;
  readonly help: string;
  readonly example: string;
  /** Flags that its help shows beside --run, --state, --from and --to. */
  readonly shows: readonly string[];
}

const CLUSTERS = "--from 'mongodb://old-1/?replicaSet=old' --to 'mongodb://new-1/?replicaSet=new'";
const EXPORT_SHOWS = [
  'from',
  'medium',
  'include',
  'exclude',
  'compress',
  'time-point',
  'medium-tool',
  'read-from',
  'lanes',
  'chunk-mb',
  'max-mbps',
  'throttle',
  'neighbour-latency-limit',
  'retry-for',
] as const;
const IMPORT_SHOWS = [
  'medium',
  'to',
  'run',
  'state',
  'include',
  'exclude',
  'rename',
  'medium-tool',
  'lanes',
  'chunk-mb',
  'max-mbps',
  'retry-for',
] as const;
const ADDRESS = ['run', 'state', 'from', 'to'] as const;

const OTHERS: readonly OtherCommand[] = [
  {
    name: 'pause',
    help: 'Stop working until `resume`; the log is kept meanwhile',
    example: 'pause --run shop',
    shows: [],
  },
  { name: 'resume', help: 'Go on after `pause`', example: 'resume --run shop', shows: [] },
  {
    name: 'verify',
    help: 'Compare every document, index and option of both sides, live',
    example: 'verify --run shop --repair',
    shows: [],
  },
  {
    name: 'cutover',
    help: 'Fence the source, apply the last changes, prove them, switch the address',
    example: 'cutover --run shop --fence roles --max-stall 5s',
    shows: ['fence', 'fence-whole-cluster', 'entry', 'webhook-secret-env', 'max-stall', 'confirm-after'],
  },
  {
    name: 'rollback',
    help: 'Go back to the source with what was written on the target since; until `confirm`',
    example: 'rollback --run shop',
    shows: ['max-stall'],
  },
  {
    name: 'confirm',
    help: 'Close the way back: the target is now the home of the data',
    example: 'confirm --run shop',
    shows: [],
  },
  {
    name: 'cleanup',
    help: 'Delete the moved namespaces at the source, after `confirm` and a fresh proof',
    example: 'cleanup --run shop --yes-delete shop',
    shows: [],
  },
  {
    name: 'unfreeze',
    help: 'Unlock the member that --freeze stopped, should a crash have left it locked',
    example: 'unfreeze --run shop',
    shows: [],
  },
  { name: 'cancel', help: 'End the run for good; the source keeps serving', example: 'cancel --run shop', shows: [] },
];

export function addMigrate(program: Command, session: Session, done: (exitCode: number) => void): void {
  const migrate = program
    .command('migrate')
    .description('Move chosen namespaces of a MongoDB replica set to another one while both serve');
  const { env } = session.io;

  add(
    migrate,
    'check',
    'Say everything that stands in the way, before anything is touched',
    `check ${CLUSTERS} --include shop`,
    'all',
  ).action(async (flags: Flags, command: Command) =>
    done(await checkCommand(session, sourcesOf(command, env), isOn(flags.json))),
  );

  add(
    migrate,
    'run',
    'Copy, follow and prove; starts a run or goes on with it',
    `run ${CLUSTERS} --include shop --run shop`,
    'all',
  ).action(async (flags: Flags, command: Command) =>
    done(await runCommand(session, sourcesOf(command, env), isOn(flags.json))),
  );

  add(
    migrate,
    'export',
    'Write the chosen namespaces, as of a time point, to a folder or an archive',
    "export --from 'mongodb://old-1/?replicaSet=old' --include shop --medium /media/truck/shop --compress zstd",
    EXPORT_SHOWS,
  ).action(async (flags: Flags, command: Command) =>
    done(await exportCommand(session, sourcesOf(command, env), isOn(flags.json))),
  );

  add(
    migrate,
    'import',
    'Load such a medium into the target; `run` then goes on with the log',
    "import --medium /media/truck/shop --to 'mongodb://new-1/?replicaSet=new' --run shop",
    IMPORT_SHOWS,
  )
    .option('--finish', 'No run will follow: apply the log of the medium, and make indexes unique and alive')
    .action(async (flags: Flags, command: Command) => {
      const said = { json: isOn(flags.json), finish: isOn(flags.finish) };
      done(await importCommand(session, sourcesOf(command, env), said));
    });

  add(migrate, 'status', 'Show one run, or list the runs of a state directory', 'status --run shop --watch', [
    'run',
    'state',
  ])
    .option('--watch', 'Go on showing until the run ends')
    .action(async (flags: Flags, command: Command) =>
      done(await statusCommand(session, sourcesOf(command, env), { json: isOn(flags.json), watch: isOn(flags.watch) })),
    );

  add(
    migrate,
    'spool',
    "Keep the source's log in a folder, without a run, until stopped; goes on with what is there",
    "spool --from 'mongodb://old-1/?replicaSet=old' --include shop --spool /var/lib/godwit/shop-log --spool-keep 168h",
    ['from', 'include', 'exclude', 'read-from', 'retry-for', 'spool', 'spool-keep', 'spool-keep-gb'],
  ).action(async (flags: Flags, command: Command) =>
    done(await spoolCommand(session, sourcesOf(command, env), isOn(flags.json))),
  );

  for (const other of OTHERS) {
    const command = add(migrate, other.name, other.help, other.example, [...ADDRESS, ...other.shows]);
    if (other.name === 'verify') {
      command.option('--repair', 'Copy again what differs, then compare it once more');
      command.option(
        '--now',
        'Do not wait for the log: compare both sides as they are, and say what is late and what is wrong',
      );
    }
    if (other.name === 'cleanup')
      command.option('--yes-delete <NAME>', 'The run’s name once more: consent to delete its data at the source');
    command.action(async (flags: Flags, self: Command) => {
      const args = {
        ...(isOn(flags.repair) ? { repair: true } : {}),
        ...(isOn(flags.now) ? { now: true } : {}),
        ...(typeof flags.yesDelete === 'string' ? { yesDelete: flags.yesDelete } : {}),
      };
      done(await otherCommand(session, other.name, sourcesOf(self, env), args, isOn(flags.json)));
    });
  }
}

type Flags = Readonly<Record<string, unknown>>;

function isOn(flag: unknown): boolean {
  return flag === true;
}

function add(parent: Command, name: string, help: string, example: string, shown: readonly string[] | 'all'): Command {
  const command = parent.command(name).description(help).allowExcessArguments(false);
  addOptionFlags(command, shown);
  const environment =
    shown === 'all' ? 'Every option may also be an environment variable: --max-stall is GODWIT_MAX_STALL.\n' : '';
  return command.addHelpText('after', `\n${environment}Example:\n  godwit migrate ${example}`);
}
