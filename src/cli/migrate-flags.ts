/** The option table as flags of a command, and back. */
import { type Command, Option } from 'commander';
import { OPTIONS, type OptionSpec } from '../routes/migrate/option-table.ts';
import { envNameOf, type OptionSources } from '../routes/migrate/options.ts';
import { readConfigFile } from './config-file.ts';

/**
 * Every command takes every option, so that one line or one file serves them
 * all; its help shows those that matter to it.
 */
export function addOptionFlags(command: Command, shown: readonly string[] | 'all'): void {
  for (const spec of OPTIONS) {
    const option = flagOf(spec);
    if (shown !== 'all' && !shown.includes(spec.flag)) option.hideHelp();
    command.addOption(option);
  }
  command.option('--config <FILE>', 'YAML file with the same options, in camel case');
  command.option('--json', 'Answer in JSON, for programs (docs/how-to/drive-from-a-program.md)');
}

function flagOf(spec: OptionSpec): Option {
  const preset =
    spec.default === undefined || spec.default === false ? '' : ` (default: ${shownDefault(spec.default)})`;
  const value = spec.value === undefined ? '' : ` <${spec.value}>`;
  const option = new Option(`--${spec.flag}${value}`, `${spec.help}${preset === ' (default: none)' ? '' : preset}`);
  if (spec.form === 'list' || spec.form === 'items') {
    option.argParser((text: string, before: readonly string[] | undefined) => [...(before ?? []), text]);
  }
  return option;
}

function shownDefault(value: unknown): string {
  return Array.isArray(value) ? 'none' : String(value);
}

/** What the person said, by flag, file and environment. */
export function sourcesOf(command: Command, env: OptionSources['env']): OptionSources {
  const given = command.opts<Record<string, unknown>>();
  const flags: Record<string, unknown> = {};
  for (const option of command.options) {
    const name = option.name();
    const value = given[option.attributeName()];
    if (value !== undefined && OPTIONS.some((spec) => spec.flag === name)) flags[name] = value;
  }
  const file = given.config;
  return typeof file === 'string' ? { flags, env, yaml: readConfigFile(file) } : { flags, env };
}

/** Whether the run was named at all; `status` lists the runs when it was not. */
export function namesRun(sources: OptionSources): boolean {
  const spec = OPTIONS.find((option) => option.field === 'run');
  const inFile = typeof sources.yaml === 'object' && sources.yaml !== null && 'run' in sources.yaml;
  return sources.flags?.run !== undefined || inFile || (spec !== undefined && Boolean(sources.env?.[envNameOf(spec)]));
}
