/** The option table of `remodel` as flags of a command, and back. */
import { type Command, Option } from 'commander';
import { REMODEL_OPTIONS } from '../routes/remodel/option-table.ts';
import type { RemodelSources } from '../routes/remodel/options.ts';
import { readConfigFile } from './config-file.ts';

/** Every command takes every option, so that one file serves them all; its help shows those that matter to it. */
export function addRemodelFlags(command: Command, shown: readonly string[]): void {
  for (const spec of REMODEL_OPTIONS) {
    const preset = spec.default === undefined || spec.default === false ? '' : ` (default: ${String(spec.default)})`;
    const value = spec.value === undefined ? '' : ` <${spec.value}>`;
    const option = new Option(`--${spec.flag}${value}`, `${spec.help}${preset}`);
    if (!shown.includes(spec.flag)) option.hideHelp();
    command.addOption(option);
  }
  command.option('--config <FILE>', 'YAML file with the same options, in camel case');
  command.option('--json', 'Answer in JSON, for programs (docs/how-to/drive-from-a-program.md)');
}

/** What the person said, by flag, file and environment. */
export function remodelSources(command: Command, env: RemodelSources['env']): RemodelSources {
  const given = command.opts<Record<string, unknown>>();
  const flags: Record<string, unknown> = {};
  for (const option of command.options) {
    const value = given[option.attributeName()];
    if (value !== undefined && REMODEL_OPTIONS.some(({ flag }) => flag === option.name())) flags[option.name()] = value;
  }
  const file = given['config'];
  return typeof file === 'string' ? { flags, env, yaml: readConfigFile(file) } : { flags, env };
}
