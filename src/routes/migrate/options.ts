/**
 * Makes MigrateOptions of flags, environment and a YAML file. A flag is
 * stronger than the environment, which is stronger than the file. Everything
 * wrong is GW1001 with the name as the person wrote it, the value without
 * secrets, and what would have been accepted.
 */
import { z } from 'zod';
import { GodwitError } from '../../kernel/errors.ts';
import { redactUri } from '../../kernel/redact.ts';
import type { CommandOverrides, ExportOptions, ImportOptions, MigrateOptions } from './api.ts';
import { OPTIONS, type OptionSpec } from './option-table.ts';

export interface OptionSources {
  /** By flag name in kebab case; text, `true` for a switch, or a list for what was repeated. */
  readonly flags?: Readonly<Record<string, unknown>>;
  /** A parsed YAML file. */
  readonly yaml?: unknown;
  readonly env?: Readonly<Record<string, string | undefined>>;
}

/** How a command finds a run that a living process already works on. */
export interface RunAddress {
  readonly state: string;
  readonly run: string;
  /** Where the source is, if that was said. */
  readonly from?: string;
}

/** The environment variable of an option: `--max-stall` is GODWIT_MAX_STALL. */
export function envNameOf(spec: OptionSpec): string {
  return `GODWIT_${spec.flag.replaceAll('-', '_').toUpperCase()}`;
}

/** Everything a migration needs; `from` and `to` must be given. */
export function parseOptions(sources: OptionSources): MigrateOptions {
  const fields = readFields(sources);
  requireFields(fields, ['from', 'to']);
  return finish(fields);
}

function requireFields(fields: Fields, flags: readonly string[]): void {
  for (const flag of flags) {
    if (fields[flag] !== undefined) continue;
    const hint = `give --${flag}, GODWIT_${flag.toUpperCase()}, or \`${flag}:\` in the file of --config`;
    throw new GodwitError('GW1001', `--${flag} is missing; ${hint}`, { details: { option: flag } });
  }
}

/** What `export` needs: a source and a medium. */
export function parseExport(sources: OptionSources): ExportOptions {
  const fields = readFields(sources);
  requireFields(fields, ['from', 'medium']);
  return finish(fields) as ExportOptions & MigrateOptions;
}

/** What `import` needs: a medium and a target. */
export function parseImport(sources: OptionSources): ImportOptions {
  const fields = readFields(sources);
  requireFields(fields, ['medium', 'to']);
  return finish(fields) as ImportOptions & MigrateOptions;
}

/** The options when both clusters are named, else just where the run is: enough to talk to its process. */
export function parseForCommand(sources: OptionSources): MigrateOptions | RunAddress {
  const fields = readFields(sources);
  if (fields.from !== undefined && fields.to !== undefined) return finish(fields);
  const { state, run, from } = fields as unknown as RunAddress;
  return { state, run, ...(from === undefined ? {} : { from }) };
}

/** What `migrate spool` needs: a source and a folder, no target and no run. */
export type SpoolOptions = Pick<
  MigrateOptions,
  'from' | 'include' | 'exclude' | 'readFrom' | 'retryForSeconds' | 'spoolKeepSeconds' | 'spoolKeepGb'
> & { readonly spool: string };

export function parseForSpool(sources: OptionSources): SpoolOptions {
  const fields = readFields(sources);
  for (const flag of ['from', 'spool']) {
    if (fields[flag] === undefined)
      throw new GodwitError('GW1001', `--${flag} is missing`, { details: { option: flag } });
  }
  return fields as unknown as SpoolOptions;
}

const OVERRIDES: readonly (keyof CommandOverrides)[] = ['fence', 'fenceWholeCluster', 'maxStallSeconds', 'withUsers'];

/**
 * What was said, rather than preset, of the options that a command may set for
 * a run whose process lives elsewhere. An entry may hold a secret and is not
 * handed over: it belongs to the process that runs the run.
 */
export function overridesOf(sources: OptionSources): CommandOverrides {
  const said = readFields(sources, false);
  return Object.fromEntries(
    OVERRIDES.filter((field) => said[field] !== undefined).map((field) => [field, said[field]]),
  );
}

/** JSON Schema (2020-12) of a YAML file, for editors. */
export function optionsJsonSchema(): Record<string, unknown> {
  const properties = OPTIONS.map((spec) => {
    const { $schema: _, ...schema } = z.toJSONSchema(spec.schema, { io: 'input' });
    const preset = spec.default === undefined ? {} : { default: spec.default };
    return [spec.key, { ...schema, description: spec.help, ...preset }];
  });
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'godwit migrate',
    type: 'object',
    additionalProperties: false,
    properties: Object.fromEntries(properties),
  };
}

type Fields = Record<string, unknown>;

function readFields(sources: OptionSources, presets = true): Fields {
  const yaml = readYaml(sources.yaml);
  refuseUnknown(
    Object.keys(yaml),
    OPTIONS.map((spec) => spec.key),
    (name) => `\`${name}\``,
  );
  refuseUnknown(
    Object.keys(sources.flags ?? {}),
    OPTIONS.map((spec) => spec.flag),
    (name) => `--${name}`,
  );
  const fields: Fields = {};
  for (const spec of OPTIONS) {
    const value = chosenValue(spec, sources, yaml, presets);
    if (value !== undefined) fields[spec.field] = value;
  }
  return fields;
}

/** The strongest source that names the option, checked; the default otherwise. */
function chosenValue(
  spec: OptionSpec,
  sources: OptionSources,
  yaml: Record<string, unknown>,
  presets: boolean,
): unknown {
  const flag = sources.flags?.[spec.flag];
  if (flag !== undefined) return checked(spec, `--${spec.flag}`, fromText(spec, flag));
  const name = envNameOf(spec);
  const variable = sources.env?.[name];
  if (variable !== undefined && variable !== '') return checked(spec, name, fromText(spec, variable));
  const written = yaml[spec.key];
  if (written !== undefined && written !== null) return checked(spec, `\`${spec.key}\``, one(spec, written));
  return spec.default === undefined || !presets ? undefined : checked(spec, `\`${spec.key}\``, spec.default);
}

/** Where a list is expected, YAML may give its only member. */
function one(spec: OptionSpec, value: unknown): unknown {
  const isList = spec.form === 'list' || spec.form === 'items';
  return isList && !Array.isArray(value) ? [value] : value;
}

function fromText(spec: OptionSpec, value: unknown): unknown {
  if (spec.form === 'list') {
    return [value]
      .flat()
      .flatMap((part) => String(part).split(','))
      .map((part) => part.trim())
      .filter((part) => part !== '');
  }
  if (spec.form === 'items') return [value].flat();
  if (typeof value !== 'string') return value;
  if (spec.form === 'number') return value.trim() === '' || Number.isNaN(Number(value)) ? value : Number(value);
  if (spec.form === 'boolean') return { true: true, false: false, 1: true, 0: false }[value.toLowerCase()] ?? value;
  return value;
}

function checked(spec: OptionSpec, name: string, value: unknown): unknown {
  const result = spec.schema.safeParse(value);
  if (result.success) return result.data;
  const shown = redactUri(typeof value === 'string' ? value : (JSON.stringify(value) ?? String(value)));
  const range = spec.range.replaceAll('`', '');
  throw new GodwitError('GW1001', `${name}: ${shown} is not valid; accepted: ${range}`, {
    details: { option: spec.flag, value: shown, accepted: range },
  });
}

function finish(fields: Fields): MigrateOptions {
  const { webhookSecretEnv, ...options } = fields as Fields & Omit<MigrateOptions, never>;
  const entries = options.entries.map((entry) =>
    entry.kind === 'webhook' && webhookSecretEnv !== undefined
      ? { secretEnv: String(webhookSecretEnv), ...entry }
      : entry,
  );
  if (options.fence === 'entry' && entries.length === 0) {
    throw new GodwitError('GW1001', '--fence entry needs an --entry that can hold requests', {
      details: { option: 'fence' },
    });
  }
  return { ...options, entries };
}

function readYaml(yaml: unknown): Record<string, unknown> {
  if (yaml === undefined || yaml === null) return {};
  if (typeof yaml === 'object' && !Array.isArray(yaml)) return yaml as Record<string, unknown>;
  throw new GodwitError('GW1001', 'The configuration file must hold names with values, such as `from: mongodb://…`');
}

function refuseUnknown(names: readonly string[], known: readonly string[], show: (name: string) => string): void {
  for (const name of names) {
    if (known.includes(name)) continue;
    const near = nearest(name, known);
    const guess = near === undefined ? '' : `; did you mean ${show(near)}?`;
    throw new GodwitError('GW1001', `${show(name)} is not an option${guess}`, { details: { option: name } });
  }
}

/** The known name that takes the fewest edits to reach, if it is near at all. Case and dashes do not count. */
function nearest(name: string, known: readonly string[]): string | undefined {
  const plain = (text: string) => text.toLowerCase().replaceAll(/[-_]/g, '');
  const ranked = known
    .map((candidate) => ({ candidate, edits: editDistance(plain(name), plain(candidate)) }))
    .sort((a, b) => a.edits - b.edits);
  const best = ranked[0];
  return best && best.edits <= Math.max(1, Math.floor(name.length / 3)) ? best.candidate : undefined;
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const swap = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(swap, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
