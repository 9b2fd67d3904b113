/**
 * The one table of everything that can be said of a migration. Flags,
 * environment names, YAML keys, help, defaults, the JSON Schema and
 * docs/reference/config.md are all made from it, so they cannot disagree.
 */
import { z } from 'zod';
import type { MigrateOptions } from './api.ts';
import { choice, duration, entry, pattern, real, renaming, uri, whole } from './option-values.ts';

/** How a flag or an environment variable, which are text, becomes the value YAML would have held. */
type TextForm = 'text' | 'number' | 'boolean' | 'list' | 'items';

export interface OptionSpec {
  /** Key in a YAML file: the flag in camel case, in the plural for what may be repeated as objects. */
  readonly key: string;
  /** Field of MigrateOptions that it fills. */
  readonly field: keyof MigrateOptions | 'webhookSecretEnv';
  readonly flag: string;
  /** What stands for the value in help; absent for a switch. */
  readonly value?: string;
  readonly form: TextForm;
  readonly help: string;
  /** What is accepted, in words, for messages and docs. */
  readonly range: string;
  readonly schema: z.ZodType;
  /** As it would be written in YAML; undefined when the option is absent by default. */
  readonly default?: unknown;
}

const onOff = { form: 'boolean', schema: z.boolean(), range: '`true` or `false`', default: false } as const;
const connection = {
  form: 'text',
  value: 'URI',
  schema: uri,
  range: 'a connection string, `mongodb://…` or `mongodb+srv://…`',
} as const;
const patterns = {
  form: 'list',
  value: 'PATTERN',
  schema: z.array(pattern),
  range: '`db`, `db.*`, `db.coll`; `*` and `?` stand for any text and any character',
} as const;

export const OPTIONS: readonly OptionSpec[] = [
  { key: 'from', field: 'from', flag: 'from', ...connection, help: 'Cluster to move from' },
  { key: 'to', field: 'to', flag: 'to', ...connection, help: 'Cluster to move to' },
  {
    key: 'run',
    field: 'run',
    flag: 'run',
    value: 'NAME',
    form: 'text',
    default: 'default',
    schema: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/),
    range: 'letters, digits, `.`, `_`, `-`; at most 64',
    help: 'Name of the run; one state directory holds many',
  },
  {
    key: 'state',
    field: 'state',
    flag: 'state',
    value: 'DIR',
    form: 'text',
    default: '.godwit',
    schema: z.string().min(1),
    range: 'a directory',
    help: 'Where runs keep their state and the change spool',
  },
  {
    key: 'include',
    field: 'include',
    flag: 'include',
    ...patterns,
    default: [],
    help: 'Namespaces to move; all but admin, config and local when absent. May be repeated, or joined by commas',
  },
  {
    key: 'exclude',
    field: 'exclude',
    flag: 'exclude',
    ...patterns,
    default: [],
    help: 'Namespaces to leave out of those chosen',
  },
  {
    key: 'rename',
    field: 'rename',
    flag: 'rename',
    value: 'FROM=TO',
    form: 'list',
    default: [],
    schema: z.array(renaming),
    range: '`db=db2` or `db.a=db2.b`',
    help: 'Another name on the target',
  },
  {
    key: 'readFrom',
    field: 'readFrom',
    flag: 'read-from',
    form: 'text',
    ...choice(['primary', 'secondary']),
    help: 'Member that the copy reads; a secondary where there is one when absent',
  },
  {
    key: 'until',
    field: 'until',
    flag: 'until',
    form: 'text',
    ...choice(['copied', 'following', 'verified']),
    help: 'Stop there; the same command without it goes on',
  },
  {
    key: 'cutover',
    field: 'cutover',
    flag: 'cutover',
    form: 'text',
    default: 'manual',
    ...choice(['manual', 'auto']),
    help: 'auto: cut over as soon as a proof of equality holds',
  },
  {
    key: 'fence',
    field: 'fence',
    flag: 'fence',
    form: 'text',
    ...choice(['roles', 'entry', 'write-block', 'none']),
    help: 'How the source is made to refuse writes; the narrowest that works here when absent',
  },
  {
    key: 'fenceWholeCluster',
    field: 'fenceWholeCluster',
    flag: 'fence-whole-cluster',
    ...onOff,
    help: 'Allow --fence write-block although others write to the source',
  },
  {
    key: 'entries',
    field: 'entries',
    flag: 'entry',
    value: 'ENTRY',
    form: 'items',
    default: [],
    schema: z.array(entry),
    range:
      '`file:PATH#KEY`, optionally `?format=json|yaml|env&to=ADDRESS`, or `webhook:https://…`; in YAML also the same as an object with `kind`',
    help: 'Address that applications connect to, switched at cutover. May be repeated',
  },
  {
    key: 'webhookSecretEnv',
    field: 'webhookSecretEnv',
    flag: 'webhook-secret-env',
    value: 'NAME',
    form: 'text',
    schema: z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/),
    range: 'the name of an environment variable',
    help: 'Environment variable that holds the key which signs webhook calls (HMAC-SHA-256)',
  },
  {
    key: 'maxStall',
    field: 'maxStallSeconds',
    flag: 'max-stall',
    value: 'TIME',
    form: 'text',
    default: '10s',
    schema: duration(0.1, 3600),
    range: 'a duration from 100ms to 1h',
    help: 'Longest time the chosen namespaces may refuse writes before the cutover is undone',
  },
  {
    key: 'lanes',
    field: 'lanes',
    flag: 'lanes',
    value: 'N',
    form: 'number',
    default: 2,
    ...whole(1, 64),
    help: 'Connections that copy at once',
  },
  {
    key: 'applyLanes',
    field: 'applyLanes',
    flag: 'apply-lanes',
    value: 'N',
    form: 'number',
    default: 4,
    ...whole(1, 64),
    help: 'Connections that apply the log at once',
  },
  {
    key: 'chunkMb',
    field: 'chunkMb',
    flag: 'chunk-mb',
    value: 'MB',
    form: 'number',
    default: 128,
    ...whole(1, 4096),
    help: 'Size of a resumable piece of the copy',
  },
  {
    key: 'maxMbps',
    field: 'maxMbps',
    flag: 'max-mbps',
    value: 'MB/S',
    form: 'number',
    ...real(0.1, 100_000),
    help: 'The copy goes no faster than this many MB/s (1 MB = 10^6 bytes)',
  },
  {
    key: 'throttle',
    field: 'throttle',
    flag: 'throttle',
    form: 'text',
    default: 'auto',
    ...choice(['auto', 'off']),
    help: 'auto: the copy slows down by what it does to others on the source',
  },
  {
    key: 'neighbourLatencyLimit',
    field: 'neighbourLatencyLimit',
    flag: 'neighbour-latency-limit',
    value: 'FACTOR',
    form: 'number',
    default: 1.25,
    ...real(1, 100),
    help: "How much slower than before the neighbours' operations may become",
  },
  {
    key: 'retryFor',
    field: 'retryForSeconds',
    flag: 'retry-for',
    value: 'TIME',
    form: 'text',
    default: '10m',
    schema: duration(0, 86_400 * 7),
    range: 'a duration from 0s to 168h',
    help: 'How long one fault is waited out before the run stops',
  },
  {
    key: 'withUsers',
    field: 'withUsers',
    flag: 'with-users',
    ...onOff,
    help: 'Carry users and roles of the chosen databases too',
  },
  {
    key: 'confirmAfter',
    field: 'confirmAfterSeconds',
    flag: 'confirm-after',
    value: 'TIME',
    form: 'text',
    schema: duration(0, 86_400 * 30),
    range: 'a duration from 0s to 720h',
    help: 'Confirm by itself when the target has been stable for so long after the switch',
  },
];
