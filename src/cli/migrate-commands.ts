/** `godwit migrate …`: one function a command, each answering its exit code. */
import { exitCodeOf } from '../kernel/codes.ts';
import type { CommandArgs, CommandName, CommandResult, ExportResult } from '../routes/migrate/api.ts';
import {
  type OptionSources,
  overridesOf,
  parseExport,
  parseForCommand,
  parseImport,
  parseOptions,
} from '../routes/migrate/options.ts';
import { paintOf, printJson, printLines, type Session } from './session.ts';
import { checkText } from './view/check-text.ts';
import { exportText } from './view/medium-lines.ts';
import { resultText } from './view/result-text.ts';
import { openRunView } from './view/run-view.ts';

export async function checkCommand(session: Session, sources: OptionSources, json: boolean): Promise<number> {
  const options = parseOptions(sources);
  const route = await session.loadMigrate();
  const report = await route.check(options, session.signal);
  if (json) printJson(session, report);
  else printLines(session, checkText(report, paintOf(session)));
  return report.ok ? 0 : exitCodeOf('GW2001');
}

export async function runCommand(session: Session, sources: OptionSources, json: boolean): Promise<number> {
  const options = parseOptions(sources);
  const route = await session.loadMigrate();
  const view = openRunView(session.io, json);
  let result: CommandResult;
  try {
    result = await route.run(options, { signal: session.signal, onEvent: (event) => view.show(event) });
  } finally {
    view.close();
  }
  if (json) printJson(session, { type: 'result', result });
  else printLines(session, ['', ...resultText(result, paintOf(session))]);
  return exitCodeFor(result);
}

export async function exportCommand(session: Session, sources: OptionSources, json: boolean): Promise<number> {
  const options = parseExport(sources);
  const route = await session.loadMigrate();
  const view = openRunView(session.io, json);
  let result: ExportResult;
  try {
    result = await route.exportMedium(options, { signal: session.signal, onEvent: (event) => view.show(event) });
  } finally {
    view.close();
  }
  if (json) printJson(session, { type: 'result', result });
  else printLines(session, ['', ...exportText(result, paintOf(session))]);
  return 0;
}

export async function importCommand(
  session: Session,
  sources: OptionSources,
  flags: { readonly json: boolean; readonly finish: boolean },
): Promise<number> {
  const { json, finish } = flags;
  const options = { ...parseImport(sources), finish };
  const route = await session.loadMigrate();
  const view = openRunView(session.io, json);
  let result: CommandResult;
  try {
    result = await route.importMedium(options, { signal: session.signal, onEvent: (event) => view.show(event) });
  } finally {
    view.close();
  }
  if (json) printJson(session, { type: 'result', result });
  else printLines(session, ['', ...resultText(result, paintOf(session))]);
  return exitCodeFor(result);
}

export async function otherCommand(
  session: Session,
  name: CommandName,
  sources: OptionSources,
  args: CommandArgs,
  json: boolean,
): Promise<number> {
  const options = parseForCommand(sources);
  const route = await session.loadMigrate();
  // The one answer of these commands is a single object, so in JSON what happens meanwhile is not shown.
  const view = json ? undefined : openRunView(session.io, false);
  let result: CommandResult;
  try {
    result = await route.command(name, options, withOverrides(args, sources), {
      signal: session.signal,
      onEvent: (event) => view?.show(event),
    });
  } finally {
    view?.close();
  }
  if (json) printJson(session, result);
  else printLines(session, resultText(result, paintOf(session)));
  return exitCodeFor(result);
}

/** Options said with a command reach the process that carries it out. */
function withOverrides(args: CommandArgs, sources: OptionSources): CommandArgs {
  const overrides = overridesOf(sources);
  return Object.keys(overrides).length === 0 ? args : { ...args, overrides };
}

/** What still differs is the answer, not an error, but programs must see it. */
function exitCodeFor(result: CommandResult): number {
  return (result.drift ?? []).length > 0 ? exitCodeOf('GW6001') : 0;
}
