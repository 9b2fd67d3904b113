/** The `remodel` command with its subcommands, their help and examples: one verb for each phase. */
import { type Command, Option } from 'commander';
import { NEXT_REMODEL } from '../kernel/remodel/index.ts';
import type { RemodelArgs, RemodelCommand } from '../routes/remodel/api.ts';
import { parsePart, parseShare } from '../routes/remodel/option-values.ts';
import { initCommand, remodelCommand, remodelStatusCommand } from './remodel-commands.ts';
import { addRemodelFlags, remodelSources } from './remodel-flags.ts';
import type { Session } from './session.ts';

interface CommandSpec {
  readonly name: RemodelCommand;
  /** Words after the name. */
  readonly words?: string;
  readonly help: string;
  readonly example: string;
  /** Flags that its help shows beside --definition, --db and --dry-run. */
  readonly shows?: readonly string[];
  readonly own?: readonly Option[];
}

const ALWAYS = ['definition', 'db', 'remodel', 'dry-run'] as const;

const COMMANDS: readonly CommandSpec[] = [
  {
    name: 'init',
    help: 'Write a definition to begin from, by the columns of a table',
    example: 'init --db postgres://localhost/shop --table customers --out migration.ts',
    own: [
      new Option('--table <TABLE>', 'The old table').makeOptionMandatory(),
      new Option('--out <FILE>', 'File to write; it must not exist (default: migration.ts)'),
    ],
  },
  {
    name: 'check',
    help: 'Try to refute a definition, on made-up rows and on real ones; changes nothing',
    example: 'check --samples 100',
    shows: ['samples'],
    own: [new Option('--seed <N>', 'Seed of the made-up rows (default: 1)')],
  },
  {
    name: 'create',
    help: 'Make new tables, control tables and guard; measure what writing to both will cost',
    example: 'create --samples 200',
    shows: ['samples'],
  },
  {
    name: 'ramp',
    words: '<share>',
    help: 'Which share of identities moves to the new model by its own writes: 5%, 100%, or auto',
    example: 'ramp auto --soak 5m',
    shows: ['soak', 'latency-limit', 'lag-limit', 'samples'],
  },
  {
    name: 'status',
    help: 'Show phase, ramp, queue, processes and the gates to the next phase',
    example: 'status --watch',
  },
  {
    name: 'seal',
    help: 'Close the ramp at 100 %, once every process and every transaction goes by it',
    example: 'seal --timeout 5m',
    shows: ['timeout'],
  },
  {
    name: 'backfill',
    help: 'Move the identities that nobody writes to, and prove that none is missing',
    example: 'backfill --lanes 4 --part 1/2',
    shows: ['lanes', 'chunk', 'throttle', 'max-rate', 'latency-limit', 'lag-limit', 'engine', 'work'],
    own: [new Option('--part <I/N>', 'Take only this part of the identities, beside other processes')],
  },
  {
    name: 'verify',
    help: 'Compare both models in one snapshot, under live writes: presence, then every value',
    example: 'verify --engine duckdb',
    shows: ['max-rate', 'engine', 'work', 'timeout'],
    own: [new Option('--by-value', 'Compare every value at once')],
  },
  {
    name: 'reads',
    words: '<share...>',
    help: 'Which share of identities is read from the new model: 10%; and which is compared: shadow 5%',
    example: 'reads 10% shadow 5%',
    shows: ['min-shadow', 'lag-limit'],
  },
  {
    name: 'contract',
    help: 'Stop writing the old table; what it misses is remembered',
    example: 'contract',
    shows: ['min-shadow', 'lag-limit', 'accept-lossy', 'timeout'],
  },
  {
    name: 'retire',
    help: 'Trap the old table with --trap; later archive and drop it with --confirm',
    example: 'retire --trap record --cycle 720h',
    shows: ['cycle', 'work', 'timeout'],
    own: [
      new Option('--trap <record|refuse>', 'Record who reads the old table, or refuse them too').choices([
        'record',
        'refuse',
      ]),
      new Option('--confirm <TABLE>', 'The old table’s name: consent to drop it'),
    ],
  },
  {
    name: 'rollback',
    help: 'Go one phase back, or to the one named; nothing is lost',
    example: 'rollback --to created',
    shows: ['accept-lossy', 'lanes', 'chunk', 'timeout'],
    own: [new Option('--to <PHASE>', 'How far').choices(Object.keys(NEXT_REMODEL))],
  },
  {
    name: 'doctor',
    help: 'Say what is wrong and what mends it',
    example: 'doctor --retry-quarantine',
    own: [
      new Option('--accept-shape', 'The present columns, indexes and triggers are as they should be'),
      new Option('--retry-quarantine', 'Let everything in quarantine be tried again'),
      new Option('--guard <capture|reject>', 'What becomes of writes past the library').choices(['capture', 'reject']),
    ],
  },
  {
    name: 'relay',
    help: 'Carry changes to the old table until it is stopped; any number may run',
    example: 'relay --queue amqp://localhost',
    shows: ['queue'],
  },
  { name: 'drop', help: 'Take new tables, guard and control record away again', example: 'drop --dry-run' },
];

type Flags = Readonly<Record<string, unknown>>;

export function addRemodel(program: Command, session: Session, done: (exitCode: number) => void): void {
  const remodel = program
    .command('remodel')
    .description('Move a table into a new data model under the application’s writes (PostgreSQL, MongoDB)');
  for (const spec of COMMANDS) {
    const command = remodel
      .command(spec.words === undefined ? spec.name : `${spec.name} ${spec.words}`)
      .description(spec.help)
      .allowExcessArguments(false);
    for (const option of spec.own ?? []) command.addOption(option);
    if (spec.name === 'status') command.option('--watch', 'Go on showing until it is retired or stopped');
    addRemodelFlags(command, [...ALWAYS, ...(spec.shows ?? [])]);
    command.addHelpText(
      'after',
      `\nEvery option may also be an environment variable: --lag-limit is GODWIT_LAG_LIMIT.\n\nExample:\n  godwit remodel ${spec.example}`,
    );
    command.action(async (...given: unknown[]) => {
      const self = given.at(-1) as Command;
      const flags = self.opts<Flags>();
      const sources = remodelSources(self, session.io.env);
      const args = argsOf(spec.name, flags, given[0]);
      const json = flags['json'] === true;
      if (spec.name === 'status') {
        done(await remodelStatusCommand(session, sources, { json, watch: flags['watch'] === true }));
      } else if (spec.name === 'init') {
        done(await initCommand(session, sources, args, json));
      } else {
        done(await remodelCommand(session, spec.name, sources, args, json));
      }
    });
  }
}

function argsOf(name: RemodelCommand, flags: Flags, words: unknown): RemodelArgs {
  const text = (flag: string) => (typeof flags[flag] === 'string' ? flags[flag] : undefined);
  const [trap, guard, seed, part] = [text('trap'), text('guard'), text('seed'), text('part')];
  return {
    ...(name === 'ramp' ? { share: words === 'auto' ? 'auto' : parseShare(String(words)) } : {}),
    ...(name === 'reads' ? readsArgs(words as readonly string[]) : {}),
    ...(part === undefined ? {} : { part: parsePart(part) }),
    ...(trap === 'record' || trap === 'refuse' ? { trap } : {}),
    ...(guard === 'capture' || guard === 'reject' ? { guard } : {}),
    ...(seed === undefined ? {} : { seed: Number(seed) }),
    byValue: flags['byValue'] === true,
    acceptShape: flags['acceptShape'] === true,
    retryQuarantine: flags['retryQuarantine'] === true,
    confirm: text('confirm'),
    to: text('to') as RemodelArgs['to'],
    table: text('table'),
    out: text('out'),
  };
}

/** `10%`, `shadow 5%`, or both in either order. */
function readsArgs(words: readonly string[]): Pick<RemodelArgs, 'share' | 'shadow'> {
  const at = words.indexOf('shadow');
  const rest = at < 0 ? words : words.toSpliced(at, 2);
  return {
    ...(at < 0 ? {} : { shadow: parseShare(words[at + 1] ?? '') }),
    ...(rest.length === 0 ? {} : { share: parseShare(rest.join(' ')) }),
  };
}
