/** Flags of the roles of `protect`, as options of the route. Whatever is wrong is GW1001. */
import { resolve } from 'node:path';
import { type Command, Option } from 'commander';
import { GodwitError } from '../kernel/errors.ts';
import type {
  AuxiliaryOptions,
  DrOptions,
  HostPort,
  ImageAtFirst,
  NbdAt,
  Policy,
  PrimaryOptions,
  SharedOptions,
  Sharing,
} from '../routes/protect/api.ts';

const POLICIES: readonly Policy[] = ['zero', 'barrier', 'seed'];
const SHARINGS: readonly Sharing[] = ['lane', 'nbd'];

/** What all three roles must be told alike. */
export function addSharedFlags(command: Command): Command {
  return command
    .requiredOption('--volume <NAME>', 'Name of the volume, the same for all three roles')
    .requiredOption('--size <BYTES>', 'Size of the volume: 10GiB, 500MiB; the same for all three')
    .option('--ring <BYTES>', 'Room for what the DR does not have yet; the same for all three', '256MiB')
    .requiredOption('--state <DIR>', 'Directory for ring, order and state of this role')
    .option('--key <FILE>', 'Key that the three share (godwit protect key FILE): encrypts, and lets nobody else in')
    .option('--insecure', 'Neither encrypted nor authenticated: for tests on one machine')
    .option('--create', 'Begin a new volume, where there is no state: only the first time, and on all three')
    .option('--lease <SECONDS>', 'How long a primary may go on that nobody hears; the same for all three', '5')
    .option('--metrics <HOST:PORT>', 'Where /metrics is served for Prometheus')
    .option('--json', 'Events as JSON, one a line');
}

export function addReplaceFlag(command: Command): Command {
  return command.option('--replace', 'With --create: stand in for one that is gone, whose disk is lost');
}

export function addListenFlag(command: Command): Command {
  return command.requiredOption('--listen <HOST:PORT>', 'Where the other roles connect');
}

export function addAreaFlag(command: Command): Command {
  return command.option('--area <HOST:PORT>', 'Serve the area by NBD there, for a primary with --shared-area nbd');
}

export function addImageFlag(command: Command): Command {
  return command
    .requiredOption('--image <FILE>', 'The volume’s content: a file, made where there is none, or a block device')
    .option('--overwrite-image', 'With --create --replace: what the image holds goes, all of it');
}

export function addNbdFlag(command: Command, when: string): Command {
  return command.requiredOption('--nbd <ADDRESS>', `Where the volume is served by NBD${when}: HOST:PORT or unix:/PATH`);
}

export function addDrFlags(command: Command): Command {
  return command
    .requiredOption('--auxiliary <HOST:PORT>', 'Where the auxiliary listens')
    .option(
      '--rewind <BYTES>',
      'Keep what operations replace, so much of it: the image can be rewound to any moment in it',
    );
}

export function addPrimaryFlags(command: Command): Command {
  return command
    .requiredOption('--auxiliary <HOST:PORT>', 'Where the auxiliary listens')
    .requiredOption('--dr <HOST:PORT>', 'Where the DR listens')
    .addOption(
      new Option('--policy <POLICY>', 'What an acknowledgement needs (docs/how-to/protect-a-volume.md)')
        .choices(POLICIES)
        .default('zero'),
    )
    .addOption(
      new Option(
        '--shared-area <WAY>',
        'How the auxiliary gets its part: lane sends it, nbd writes it into its mounted area',
      )
        .choices(SHARINGS)
        .default('lane'),
    )
    .option(
      '--keep-image',
      'With --create: the image is the volume; a DR begun with --create --replace is given all of it',
    )
    .option('--replace', 'With --create: stand in for a primary that is gone; the DR gives the volume back to it')
    .option('--patience <SECONDS>', 'After so long without the auxiliary or the DR go on without it; or forever', '30');
}

type Flags = Readonly<Record<string, unknown>>;

export function primaryOptions(flags: Flags): PrimaryOptions {
  return {
    ...sharedOptions(flags),
    image: resolve(text(flags, 'image')),
    imageAtFirst: imageAtFirst(flags),
    nbd: nbdAt(text(flags, 'nbd')),
    auxiliary: hostPort('--auxiliary', text(flags, 'auxiliary')),
    dr: hostPort('--dr', text(flags, 'dr')),
    policy: text(flags, 'policy') as Policy,
    sharing: text(flags, 'sharedArea') as Sharing,
    replace: flags['replace'] === true,
    patienceMs: flags['patience'] === 'forever' ? undefined : seconds('--patience', flags['patience']),
  };
}

export function auxiliaryOptions(flags: Flags): AuxiliaryOptions {
  const area = flags['area'];
  return {
    ...sharedOptions(flags),
    replace: flags['replace'] === true,
    listen: hostPort('--listen', text(flags, 'listen')),
    area: typeof area === 'string' ? hostPort('--area', area) : undefined,
  };
}

export function drOptions(flags: Flags): DrOptions {
  return {
    ...sharedOptions(flags),
    image: resolve(text(flags, 'image')),
    imageAtFirst: imageAtFirst(flags),
    replace: flags['replace'] === true,
    listen: hostPort('--listen', text(flags, 'listen')),
    auxiliary: hostPort('--auxiliary', text(flags, 'auxiliary')),
    nbd: nbdAt(text(flags, 'nbd')),
    rewind: flags['rewind'] === undefined ? undefined : rewindBytes(text(flags, 'rewind')),
  };
}

function imageAtFirst(flags: Flags): ImageAtFirst {
  const [create, replace, keeps] = [flags['create'] === true, flags['replace'] === true, flags['keepImage'] === true];
  if (keeps && (!create || replace))
    throw new GodwitError('GW1001', '--keep-image goes with --create, and not with --replace: it begins a volume');
  if (keeps) return 'kept';
  if (flags['overwriteImage'] !== true) return 'new';
  if (!create || !replace)
    throw new GodwitError('GW1001', '--overwrite-image goes with --create --replace: all of it is sent there');
  return 'overwritten';
}

const LEAST_REWIND = 16 << 20;

function rewindBytes(given: string): number {
  const size = bytes('--rewind', given);
  if (size < LEAST_REWIND) throw new GodwitError('GW1001', `--rewind ${given} is too little; at least 16MiB`);
  return size;
}

function sharedOptions(flags: Flags): SharedOptions {
  const key = typeof flags['key'] === 'string' ? resolve(flags['key']) : undefined;
  if (key === undefined && flags['insecure'] !== true) {
    throw new GodwitError('GW1001', 'Give --key FILE (godwit protect key FILE makes one), or --insecure for a test');
  }
  return {
    volume: text(flags, 'volume'),
    size: bytes('--size', text(flags, 'size')),
    ring: bytes('--ring', text(flags, 'ring')),
    state: resolve(text(flags, 'state')),
    key,
    create: flags['create'] === true,
    metrics: typeof flags['metrics'] === 'string' ? hostPort('--metrics', flags['metrics']) : undefined,
    leaseMs: seconds('--lease', flags['lease']),
  };
}

const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  KIB: 1024,
  MIB: 1024 ** 2,
  GIB: 1024 ** 3,
  TIB: 1024 ** 4,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
};

export function bytes(flag: string, given: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([a-zA-Z]*)$/.exec(given.trim());
  const unit = UNITS[(match?.[2] ?? '').toUpperCase()];
  const value = Number(match?.[1] ?? Number.NaN) * (unit ?? Number.NaN);
  if (!Number.isSafeInteger(value) || value <= 0) {
    throw new GodwitError('GW1001', `${flag} ${given} is not valid; accepted: 512MiB, 10GiB, 1.5TB`);
  }
  return value;
}

export function seconds(flag: string, given: unknown): number {
  const value = Number(given);
  if (!(value > 0) || value > 86_400) {
    throw new GodwitError('GW1001', `${flag} ${String(given)} is not valid; accepted: seconds up to a day`);
  }
  return value * 1000;
}

function hostPort(flag: string, given: string): HostPort {
  const match = /^(?:\[([^\]]+)\]|([^:]*)):(\d{1,5})$/.exec(given);
  const port = Number(match?.[3] ?? 0);
  if (match === null || port > 65_535) {
    throw new GodwitError('GW1001', `${flag} ${given} is not valid; accepted: HOST:PORT, [::1]:PORT`);
  }
  return { host: match[1] ?? (match[2] || '0.0.0.0'), port };
}

export function nbdAt(given: string, flag = '--nbd'): NbdAt {
  return given.startsWith('unix:') ? { path: resolve(given.slice(5)) } : hostPort(flag, given);
}

function text(flags: Flags, name: string): string {
  return String(flags[name]);
}
