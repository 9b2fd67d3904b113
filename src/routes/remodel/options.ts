/**
 * Makes RemodelOptions of flags, environment and a YAML file: a flag is
 * stronger than the environment, which is stronger than the file. Everything
 * wrong is GW1001, and never shows a secret.
 */
import { z } from 'zod';
import { GodwitError } from '../../kernel/errors.ts';
import { redactUri } from '../../kernel/redact.ts';
import type { RemodelOptions } from './api.ts';
import { REMODEL_OPTIONS, type RemodelOptionSpec } from './option-table.ts';

export interface RemodelSources {
  /** By flag name in kebab case. */
  readonly flags?: Readonly<Record<string, unknown>>;
  /** A parsed YAML file. */
  readonly yaml?: unknown;
  readonly env?: Readonly<Record<string, string | undefined>>;
}

/** The environment variable of an option: `--lag-limit` is GODWIT_LAG_LIMIT. */
export function remodelEnvName(spec: RemodelOptionSpec): string {
  return `GODWIT_${spec.flag.replaceAll('-', '_').toUpperCase()}`;
}

/** @throws GodwitError GW1001. `needs`: flags that must have been given. */
export function parseRemodelOptions(
  sources: RemodelSources,
  needs: readonly (keyof RemodelOptions)[] = ['definition', 'db'],
): RemodelOptions {
  const yaml = readYaml(sources.yaml);
  for (const name of Object.keys(yaml)) {
    if (!REMODEL_OPTIONS.some(({ key, isFlagOnly }) => key === name && !isFlagOnly))
      throw new GodwitError('GW1001', `\`${name}\` is not an option of godwit remodel`, { details: { option: name } });
  }
  const options: Record<string, unknown> = {};
  for (const spec of REMODEL_OPTIONS) {
    const value = chosen(spec, sources, yaml);
    if (value !== undefined) options[spec.field] = value;
    else if (needs.includes(spec.field))
      throw new GodwitError(
        'GW1001',
        `--${spec.flag} is missing; give --${spec.flag}, ${remodelEnvName(spec)}, or \`${spec.key}:\` in the file of --config`,
        { details: { option: spec.flag } },
      );
  }
  return options as unknown as RemodelOptions;
}

/** JSON Schema (2020-12) of a YAML file, for editors. */
export function remodelJsonSchema(): Record<string, unknown> {
  const properties = REMODEL_OPTIONS.filter(({ isFlagOnly }) => !isFlagOnly).map((spec) => {
    const { $schema: _, ...schema } = z.toJSONSchema(spec.schema, { io: 'input', unrepresentable: 'any' });
    const preset = spec.default === undefined ? {} : { default: spec.default };
    return [spec.key, { ...schema, description: spec.help, ...preset }];
  });
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'godwit remodel',
    type: 'object',
    additionalProperties: false,
    properties: Object.fromEntries(properties),
  };
}

function chosen(spec: RemodelOptionSpec, { flags, env }: RemodelSources, yaml: Record<string, unknown>): unknown {
  const flag = flags?.[spec.flag];
  if (flag !== undefined) return checked(spec, `--${spec.flag}`, flag);
  const name = remodelEnvName(spec);
  const variable = spec.isFlagOnly ? undefined : env?.[name];
  if (variable !== undefined && variable !== '') return checked(spec, name, variable);
  const written = yaml[spec.key];
  if (written !== undefined && written !== null) return checked(spec, `\`${spec.key}\``, written);
  return spec.default === undefined ? undefined : checked(spec, `\`${spec.key}\``, spec.default);
}

function checked(spec: RemodelOptionSpec, name: string, value: unknown): unknown {
  const result = spec.schema.safeParse(value);
  if (result.success) return result.data;
  // A connection string that is not one may still hold a password.
  const shown = redactUri(typeof value === 'string' ? value : (JSON.stringify(value) ?? String(value)));
  const range = spec.range.replaceAll('`', '');
  throw new GodwitError('GW1001', `${name}: ${shown} is not valid; accepted: ${range}`, {
    details: { option: spec.flag, accepted: range },
  });
}

function readYaml(yaml: unknown): Record<string, unknown> {
  if (yaml === undefined || yaml === null) return {};
  if (typeof yaml === 'object' && !Array.isArray(yaml)) return yaml as Record<string, unknown>;
  throw new GodwitError('GW1001', 'The configuration file must hold names with values, such as `db: postgres://…`');
}
