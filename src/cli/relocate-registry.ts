/** `godwit relocate registry merge`: the adaptation of a Windows, on files. */
import type { Command } from 'commander';
import { paintOf, printJson, printLines, type Session } from './session.ts';
import { registryMergeText } from './view/registry-text.ts';

export function addRegistry(relocate: Command, session: Session, done: (exitCode: number) => void): void {
  relocate
    .command('registry')
    .description('Adapt the registry of a Windows to other hardware')
    .command('merge')
    .description("Merge the target's hardware and driver keys into the source's SYSTEM hive; the inputs are only read")
    .requiredOption('--source <FILE>', "The source's SYSTEM; its logs and SOFTWARE are looked for beside it")
    .requiredOption('--target <FILE>', "The target's SYSTEM, likewise")
    .requiredOption('--drivers <DIR>', 'System32\\drivers as it will be when the result boots')
    .requiredOption('--out <FILE>', 'Where the merged hive is written')
    .option('--force', 'Replace --out if it exists')
    .option('--same-windows', 'You made sure that both run the same Windows: there is no SOFTWARE that says it')
    .option('--dry-run', 'Merge and say what would be, but write nothing')
    .option('--json', 'Answer in JSON, for programs')
    .allowExcessArguments(false)
    .addHelpText(
      'after',
      '\nExample:\n  godwit relocate registry merge --source src/config/SYSTEM --target new/config/SYSTEM --drivers new/drivers --out SYSTEM',
    )
    .action(async (_flags: unknown, command: Command) => {
      const flags = command.opts<Record<string, unknown>>();
      const route = await session.loadRegistry();
      const result = await route.merge({
        source: String(flags['source']),
        target: String(flags['target']),
        drivers: String(flags['drivers']),
        out: String(flags['out']),
        isForced: flags['force'] === true,
        isSameWindows: flags['sameWindows'] === true,
        isDryRun: flags['dryRun'] === true,
      });
      if (flags['json'] === true) printJson(session, result);
      else printLines(session, registryMergeText(result, paintOf(session)));
      done(0);
    });
}
