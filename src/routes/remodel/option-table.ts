/**
 * The one table of everything that can be said of a remodel. Flags, environment
 * names, YAML keys, help, defaults and docs/reference/config.md are made from it.
 */
import { z } from 'zod';
import type { RemodelOptions } from './api.ts';
import { duration } from './option-values.ts';

export interface RemodelOptionSpec {
  /** Key in a YAML file: the flag in camel case. */
  readonly key: string;
  readonly field: keyof RemodelOptions;
  readonly flag: string;
  /** What stands for the value in help; absent for a switch. */
  readonly value?: string;
  readonly help: string;
  /** What is accepted, in words. */
  readonly range: string;
  /** Takes text too, because flags and environment variables are text. */
  readonly schema: z.ZodType;
  readonly default?: unknown;
  /** Of a single run of a command, not of a remodel: no key of the file, no environment variable. */
  readonly isFlagOnly?: boolean;
}

const SWITCH = z.union([z.boolean(), z.enum(['true', 'false', '1', '0']).transform((text) => 'true1'.includes(text))]);
const number = (schema: z.ZodNumber) =>
  z.preprocess((value) => (typeof value === 'string' && value.trim() !== '' ? Number(value) : value), schema);
const whole = (least: number, most: number) => ({
  schema: number(z.number().int().min(least).max(most)),
  range: `a whole number from ${least} to ${most}`,
});
const time = (least: number, most: number, range: string) => ({
  value: 'TIME',
  schema: duration(least, most),
  range: `a duration ${range}`,
});

export const REMODEL_OPTIONS: readonly RemodelOptionSpec[] = [
  {
    key: 'definition',
    field: 'definition',
    flag: 'definition',
    value: 'FILE',
    schema: z.string().min(1),
    range: 'a JavaScript module; a TypeScript one where Node can run it (`node --import tsx`, or Node 24)',
    help: 'File that exports what `defineMigration` made',
  },
  {
    key: 'db',
    field: 'db',
    flag: 'db',
    value: 'URI',
    schema: z.string().regex(/^(postgres(ql)?|mongodb(\+srv)?):\/\/\S+$/),
    range: 'a connection string, `postgres://…` or `mongodb://…` with the name of a database',
    help: 'Database that holds the old table and the new ones',
  },
  {
    key: 'remodel',
    field: 'remodel',
    flag: 'remodel',
    value: 'NAME',
    schema: z.string().min(1),
    range: 'the name of a definition',
    help: 'Which of several definitions in the file',
  },
  {
    key: 'timeout',
    field: 'timeoutSeconds',
    flag: 'timeout',
    ...time(0, 86_400, 'from 0s to 24h'),
    default: '60s',
    help: 'Longest wait for a gate that opens by itself, or for the old table to be brought up to date',
  },
  {
    key: 'samples',
    field: 'samples',
    flag: 'samples',
    value: 'N',
    ...whole(1, 10_000),
    default: 50,
    help: 'Writes that `create` and `ramp auto` measure, all rolled back; `check` makes up a hundred times as many rows',
  },
  {
    key: 'lanes',
    field: 'lanes',
    flag: 'lanes',
    value: 'N',
    ...whole(1, 64),
    default: 2,
    help: 'Transactions of backfill and rollback at once',
  },
  {
    key: 'chunk',
    field: 'chunk',
    flag: 'chunk',
    value: 'N',
    ...whole(1, 10_000),
    default: 500,
    help: 'Identities of one such transaction',
  },
  {
    key: 'throttle',
    field: 'throttle',
    flag: 'throttle',
    value: 'auto|off',
    schema: z.enum(['auto', 'off']),
    range: '`auto`, `off`',
    default: 'auto',
    help: 'auto: the backfill slows down by what it does to other writes',
  },
  {
    key: 'maxRate',
    field: 'maxRate',
    flag: 'max-rate',
    value: 'N/S',
    ...whole(1, 10_000_000),
    help: 'The backfill, or the comparison, goes no faster than this many identities a second',
  },
  {
    key: 'latencyLimit',
    field: 'latencyLimit',
    flag: 'latency-limit',
    value: 'FACTOR',
    schema: number(z.number().min(1).max(100)),
    range: 'a number from 1 to 100',
    default: 1.5,
    help: 'How much slower than at the start a write may become',
  },
  {
    key: 'lagLimit',
    field: 'lagLimitSeconds',
    flag: 'lag-limit',
    ...time(0.01, 3600, 'from 10ms to 1h'),
    default: '2s',
    help: 'How long a change may wait for the old table',
  },
  {
    key: 'soak',
    field: 'soakSeconds',
    flag: 'soak',
    ...time(0.1, 86_400, 'from 100ms to 24h'),
    default: '60s',
    help: 'How long all must be well before `ramp auto` goes a step up',
  },
  {
    key: 'minShadow',
    field: 'minShadow',
    flag: 'min-shadow',
    value: 'N',
    ...whole(0, 1_000_000_000),
    default: 100,
    help: 'Reads that must have been compared, none of them different, before reads go further',
  },
  {
    key: 'cycle',
    field: 'cycleSeconds',
    flag: 'cycle',
    ...time(0, 86_400 * 400, 'from 0s to 9600h'),
    help: 'How long nobody may have read the trapped table before it is dropped; 720h when never said',
  },
  {
    key: 'engine',
    field: 'engine',
    flag: 'engine',
    value: 'live|duckdb|spark',
    schema: z.enum(['live', 'duckdb', 'spark']),
    range: '`live`, `duckdb`, `spark`',
    default: 'live',
    help: 'What compares: the database itself, or an engine on an exported snapshot',
  },
  {
    key: 'work',
    field: 'work',
    flag: 'work',
    value: 'DIR',
    schema: z.string().min(1),
    range: 'a directory',
    default: '.godwit/remodel',
    help: 'Where snapshots, lists and archives are written',
  },
  {
    key: 'queue',
    field: 'queue',
    flag: 'queue',
    value: 'URI',
    schema: z.string().regex(/^(amqps?|nats|tls):\/\/\S+$/),
    range: '`amqp://…` (RabbitMQ) or `nats://…` (JetStream)',
    help: 'Broker that rings for the relay; without one it polls',
  },
  {
    key: 'acceptLossy',
    field: 'acceptLossy',
    flag: 'accept-lossy',
    schema: SWITCH,
    range: '`true` or `false`',
    default: false,
    isFlagOnly: true,
    help: 'Go on although some identities cannot go back to the old model whole',
  },
  {
    key: 'dryRun',
    field: 'dryRun',
    flag: 'dry-run',
    schema: SWITCH,
    range: '`true` or `false`',
    default: false,
    isFlagOnly: true,
    help: 'Say what would be done, gate by gate, and change nothing',
  },
];
