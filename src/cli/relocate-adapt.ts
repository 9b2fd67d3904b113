/** `godwit relocate adapt` and `hardware`: make a moved Linux boot on other hardware. */
import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { z } from 'zod';
import { GodwitError } from '../kernel/errors.ts';
import type { AdaptEvent, AdaptOptions } from '../routes/relocate/adapt/api.ts';
import { paintOf, printJson, printLines, type Session } from './session.ts';
import { adaptEventLine, adaptText, loadText } from './view/adapt-text.ts';

const HARDWARE = z.strictObject({
  version: z.literal(1),
  firmware: z.enum(['bios', 'uefi']),
  hypervisor: z.string(),
  drivers: z.array(z.string().min(1)),
  nics: z.array(z.strictObject({ mac: z.string(), drivers: z.array(z.string().min(1)) })),
});

export function addAdapt(relocate: Command, session: Session, done: (exitCode: number) => void): void {
  const repeated = (value: string, before: string[] | undefined) => [...(before ?? []), value];
  relocate
    .command('adapt')
    .description('Make a moved Debian or Ubuntu boot on other hardware: drivers, disks, boot loader, network cards')
    .requiredOption('--root <DIR>', 'Its root, with its file systems mounted as it is to have them')
    .option('--hardware <FILE>', 'The target, as `relocate hardware` describes it (default: this machine)')
    .option('--nic <NAME=MAC>', 'The target’s card that stands for one of the configuration; repeatable', repeated)
    .option('--swap <DEVICE>', 'A swap area of the target; repeatable', repeated)
    .option('--dry-run', 'Say each change and make none')
    .option('--undo', 'Put back every file as it was before')
    .option('--json', 'Answer in JSON, for programs')
    .addHelpText('after', '\nExample:\n  godwit relocate adapt --root /mnt/new --nic ens3=52:54:00:12:34:56 --dry-run')
    .action(async (flags: Record<string, unknown>) => {
      const isJson = flags['json'] === true;
      const paint = paintOf(session);
      const route = await session.loadAdapt();
      if (flags['undo'] === true) {
        const result = route.undo(String(flags['root']));
        if (isJson) printJson(session, { type: 'result', result });
        else
          printLines(session, [
            ...result.restored.map((path) => `/${path} as it was`),
            `${result.restored.length} files put back. The boot loader on the disk stays as it is.`,
          ]);
        return done(0);
      }
      const onEvent = (event: AdaptEvent) =>
        isJson ? printJson(session, event) : printLines(session, adaptEventLine(event, paint));
      const result = await route.adapt(optionsOf(flags), { signal: session.signal, onEvent });
      if (isJson) printJson(session, { type: 'result', result });
      else printLines(session, adaptText(result, paint));
      done(0);
    });

  relocate
    .command('load')
    .description('Load the kernel of a moved system, so that `systemctl kexec` starts it without the firmware')
    .requiredOption('--root <DIR>', 'Its root, with its file systems mounted as it is to have them')
    .option('--dry-run', 'Say what would be started and load nothing')
    .option('--json', 'Answer in JSON, for programs')
    .addHelpText('after', '\nExample:\n  godwit relocate load --root /mnt/new && systemctl kexec')
    .action(async (flags: Record<string, unknown>) => {
      const route = await session.loadAdapt();
      const result = route.load(String(flags['root']), flags['dryRun'] === true);
      if (flags['json'] === true) printJson(session, { type: 'result', result });
      else printLines(session, loadText(result));
      done(0);
    });

  relocate
    .command('hardware')
    .description('Describe this machine for `adapt --hardware`: firmware, drivers of its disks, network cards')
    .option('--disk <DEVICE>', 'Only what this disk needs; repeatable (default: all disks)', repeated)
    .addHelpText('after', '\nExample:\n  godwit relocate hardware --disk /dev/nvme0n1 > target.json')
    .action(async (flags: Record<string, unknown>) => {
      const route = await session.loadAdapt();
      printJson(session, await route.hardware((flags['disk'] as string[] | undefined) ?? []));
      done(0);
    });
}

function optionsOf(flags: Record<string, unknown>): AdaptOptions {
  const nics = ((flags['nic'] as string[] | undefined) ?? []).map((given) => {
    const cut = given.indexOf('=');
    if (cut < 1) throw new GodwitError('GW1001', `--nic ${given} is not valid; accepted: NAME=MAC`);
    return [given.slice(0, cut), given.slice(cut + 1)] as const;
  });
  return {
    root: String(flags['root']),
    hardware: typeof flags['hardware'] === 'string' ? hardwareOf(flags['hardware']) : undefined,
    nics: new Map(nics),
    swaps: (flags['swap'] as string[] | undefined) ?? [],
    isDryRun: flags['dryRun'] === true,
  };
}

function hardwareOf(file: string): z.infer<typeof HARDWARE> {
  try {
    return HARDWARE.parse(JSON.parse(readFileSync(file, 'utf8')));
  } catch (error) {
    const why = error instanceof z.ZodError ? z.prettifyError(error) : error instanceof Error ? error.message : '';
    throw new GodwitError('GW1001', `--hardware ${file} is not valid: ${why}`, { cause: error });
  }
}
