/** The reference pages, made of the code's own tables. Pure. */
import { CODES, type Disposition, type ErrorCode, exitCodeOf } from '../src/kernel/codes.ts';
import { OPTIONS, type OptionSpec } from '../src/routes/migrate/option-table.ts';
import { envNameOf } from '../src/routes/migrate/options.ts';
import { REMODEL_OPTIONS, type RemodelOptionSpec } from '../src/routes/remodel/option-table.ts';
import { remodelEnvName } from '../src/routes/remodel/options.ts';

const MADE = '<!-- Made by `npm run docs` from the code. Do not edit. -->';

const CLASSES: Readonly<Record<string, string>> = {
  GW1: 'Configuration',
  GW2: 'Preflight',
  GW3: 'Passing fault',
  GW4: 'History lost, or the state cannot be kept',
  GW5: 'The target refused',
  GW6: 'Source and target differ',
  GW7: 'Fence, entry or ownership',
  GW8: 'Stopped on request',
  GW9: 'Cannot happen',
};

const DISPOSITIONS: Readonly<Record<Disposition, string>> = {
  operator: 'Godwit stops cleanly; somebody must change something, then the run goes on',
  retry: 'Godwit waits and tries again, until `--retry-for` is over',
  resnapshot: 'only a new copy of what is affected can repair it',
  fatal: 'Godwit stops writing at once',
  aborted: 'somebody asked it to stop; no failure of the run',
};

export function errorsPage(): string {
  const lines = [
    MADE,
    '# Errors',
    '',
    'Every error has a code that does not change. People see it on standard error with what to do; with `--json` it is',
    'one object on standard output: `{"version":1,"error":{"code","message","hint","details"}}`.',
    '',
    'What Godwit does with an error is its disposition:',
    '',
    ...Object.entries(DISPOSITIONS).map(([name, words]) => `- **${name}**: ${words}.`),
    '',
    '| class | meaning | exit code |',
    '|---|---|---|',
    '| | success | 0 |',
  ];
  for (const [prefix, meaning] of Object.entries(CLASSES)) {
    const codes = codesOf(prefix);
    const exits = [...new Set(codes.map(exitCodeOf))].join(', ');
    lines.push(`| ${prefix}xxx | ${meaning} | ${exits} |`);
  }
  lines.push(
    '',
    'A second SIGINT or SIGTERM ends the process at once, with 130 or 143; the run goes on from its last checkpoint.',
  );
  for (const [prefix, meaning] of Object.entries(CLASSES)) {
    lines.push('', `## ${prefix}xxx: ${meaning}`);
    for (const code of codesOf(prefix)) {
      const { title, disposition, cause, remedy } = CODES[code];
      lines.push(
        '',
        `### ${code}: ${title}`,
        '',
        `${cause}`,
        '',
        `**What to do:** ${remedy}`,
        '',
        `Disposition: ${disposition}.`,
      );
    }
  }
  return `${lines.join('\n')}\n`;
}

function codesOf(prefix: string): readonly ErrorCode[] {
  return (Object.keys(CODES) as ErrorCode[]).filter((code) => code.startsWith(prefix));
}

export function configPage(): string {
  const lines = [
    MADE,
    '# Options',
    '',
    'Each option is a flag, an environment variable, or a key of the YAML file given with `--config FILE`. A flag is',
    'stronger than the variable, which is stronger than the file. A name that is not known is refused (GW1001).',
    'Durations are written `250ms`, `30s`, `10m` or `2h`. 1 MB is 10^6 bytes.',
    '',
    'A connection string holds a password: prefer the environment to a flag, which other users of the machine can see.',
    '',
    '## Options of `godwit migrate`',
    '',
    'Every command takes every option; commands to a run that a process is working on need only `--state` and `--run`.',
    '',
    '```yaml',
    'from: mongodb://old-1.example/?replicaSet=old',
    'to: mongodb://new-1.example/?replicaSet=new',
    'run: shop',
    'include: [shop]',
    'entries:',
    '  - { kind: file, path: /etc/shop/app.env, key: DATABASE_URL }',
    'maxStall: 5s',
    '```',
  ];
  for (const spec of OPTIONS) lines.push('', ...optionSection(spec));
  lines.push(
    '',
    '## Options of `godwit remodel`',
    '',
    'Every command takes every option; `godwit remodel COMMAND --help` shows those that matter to it.',
    '',
    '```yaml',
    'definition: ./migration.js',
    'db: postgres://shop@db-1.example/shop',
    'lagLimit: 1s',
    'cycle: 720h',
    '```',
  );
  for (const spec of REMODEL_OPTIONS) lines.push('', ...remodelSection(spec));
  return `${lines.join('\n')}\n`;
}

function optionSection(spec: OptionSpec): readonly string[] {
  const value = spec.value === undefined ? '' : ` ${spec.value}`;
  const preset = spec.default === undefined ? 'none' : `\`${JSON.stringify(spec.default).replaceAll('"', '')}\``;
  return [
    `### \`--${spec.flag}${value}\``,
    '',
    `${spec.help}.`,
    '',
    `- YAML key: \`${spec.key}\``,
    `- environment: \`${envNameOf(spec)}\``,
    `- accepted: ${spec.range}`,
    `- default: ${preset}`,
  ];
}

function remodelSection(spec: RemodelOptionSpec): readonly string[] {
  const value = spec.value === undefined ? '' : ` ${spec.value}`;
  const preset = spec.default === undefined ? 'none' : `\`${String(spec.default)}\``;
  const ways = spec.isFlagOnly
    ? ['- flag only: it is about one run of a command']
    : [`- YAML key: \`${spec.key}\``, `- environment: \`${remodelEnvName(spec)}\``];
  return [
    `### \`--${spec.flag}${value}\``,
    '',
    `${spec.help}.`,
    '',
    ...ways,
    `- accepted: ${spec.range}`,
    `- default: ${preset}`,
  ];
}
