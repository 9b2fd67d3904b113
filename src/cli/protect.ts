/** The `protect` command: every write of a volume safe at a distance. */
import type { Command } from 'commander';
import { GodwitError } from '../kernel/errors.ts';
import type { ProtectHooks } from '../routes/protect/api.ts';
import { addAttach } from './protect-attach.ts';
import {
  addAreaFlag,
  addDrFlags,
  addImageFlag,
  addListenFlag,
  addNbdFlag,
  addPrimaryFlags,
  addReplaceFlag,
  addSharedFlags,
  auxiliaryOptions,
  drOptions,
  primaryOptions,
  seconds,
} from './protect-flags.ts';
import { addGrow } from './protect-grow.ts';
import { hooksOf } from './protect-hooks.ts';
import { addStatus } from './protect-status.ts';
import { addRewind, addVerify } from './protect-verify.ts';
import { paintOf, printJson, printLines, type Session } from './session.ts';
import { failbackText, promotionText } from './view/protect-text.ts';

type Flags = Readonly<Record<string, unknown>>;
type Route = Awaited<ReturnType<Session['loadProtect']>>;

export function addProtect(program: Command, session: Session, done: (exitCode: number) => void): void {
  const protect = program
    .command('protect')
    .description('Keep every write of a volume at a disaster-recovery site, losing none');

  const role = (name: string, description: string, add: (command: Command) => void, example: string) => {
    const command = addSharedFlags(protect.command(name).description(description));
    add(command);
    command.addHelpText('after', `\nExample:\n  godwit protect ${example}`);
    return (run: (route: Route, flags: Flags, hooks: ProtectHooks) => Promise<void>) =>
      command.action(async (flags: Flags) => {
        await run(await session.loadProtect(), flags, hooksOf(session, flags['json'] === true));
        done(0);
      });
  };
  role(
    'primary',
    'Serve the volume by NBD, and send every write to the others',
    (command) => {
      addPrimaryFlags(addNbdFlag(addImageFlag(command), ''));
    },
    'primary --volume db --size 10GiB --image /srv/db.img --state /srv/protect --nbd unix:/run/db.sock --auxiliary near:7401 --dr far:7402 --key protect.key --create',
  )((route, flags, hooks) => route.runPrimary(primaryOptions(flags), hooks));
  role(
    'auxiliary',
    'Near the primary: hold what the DR does not have yet, and vote on who leads',
    (command) => {
      addAreaFlag(addListenFlag(addReplaceFlag(command)));
    },
    'auxiliary --volume db --size 10GiB --state /srv/protect --listen :7401 --key protect.key --create',
  )((route, flags, hooks) => route.runAuxiliary(auxiliaryOptions(flags), hooks));
  role(
    'dr',
    'Far away: hold order and data, and take over when told to',
    (command) => {
      addNbdFlag(addListenFlag(addImageFlag(addReplaceFlag(command))), ' once it was promoted');
      addDrFlags(command);
    },
    'dr --volume db --size 10GiB --image /srv/db.img --state /srv/protect --listen :7402 --auxiliary near:7401 --nbd unix:/run/db.sock --key protect.key --create',
  )((route, flags, hooks) => route.runDr(drOptions(flags), hooks));

  addAttach(protect, session, done);
  addGrow(protect, session, done);
  addStatus(protect, session, done);
  addVerify(protect, session, done);
  addRewind(protect, session, done);

  protect
    .command('promote')
    .description('Make the DR take over: the old primary is fenced, the volume served here')
    .requiredOption('--state <DIR>', 'State directory of the DR')
    .option('--force', 'Also without the auxiliary, and with operations missing: somebody must know that both are gone')
    .option(
      '--planned',
      'The primary lives, and gives up the lead: nothing is under way then, and no lease is waited for',
    )
    .option('--stall <SECONDS>', 'With --planned: how long writers may wait; else the primary leads on', '10')
    .option('--yes', 'Confirm: the volume is served here from then on, and not at the primary')
    .option('--json', 'Answer in JSON, for programs')
    .addHelpText('after', '\nExample:\n  godwit protect promote --state /srv/protect --yes')
    .action(async (flags: Flags) => {
      if (flags['yes'] !== true) {
        throw new GodwitError('GW1005', 'Promoting fences the primary: add --yes when that is meant');
      }
      if (flags['planned'] === true && flags['force'] === true) {
        throw new GodwitError('GW1001', '--planned asks the living primary, --force asks nobody: give one of them');
      }
      const route = await session.loadProtect();
      const state = String(flags['state']);
      const result =
        flags['planned'] === true
          ? await route.switchOver(state, seconds('--stall', flags['stall']), session.signal)
          : await route.promote(state, flags['force'] === true, session.signal);
      if (flags['json'] === true) printJson(session, result);
      else printLines(session, promotionText(result, paintOf(session)));
      done(0);
    });

  protect
    .command('failback')
    .description('Make a promoted DR give the volume back to the primary, with only what has changed')
    .requiredOption('--state <DIR>', 'State directory of the DR')
    .option('--stall <SECONDS>', 'How long writers may wait for the switch; else the DR goes on and tries again', '10')
    .option('--yes', 'Confirm: the volume is served at the primary afterwards, and not here')
    .option('--json', 'Answer in JSON, for programs')
    .addHelpText('after', '\nExample:\n  godwit protect failback --state /srv/protect --yes')
    .action(async (flags: Flags) => {
      if (flags['yes'] !== true) {
        throw new GodwitError('GW1005', 'A failback ends the service of the volume here: add --yes when that is meant');
      }
      const stallMs = seconds('--stall', flags['stall']);
      const route = await session.loadProtect();
      const result = await route.failback(String(flags['state']), stallMs, session.signal);
      if (flags['json'] === true) printJson(session, result);
      else printLines(session, failbackText(result, paintOf(session)));
      done(0);
    });

  protect
    .command('key')
    .description('Make a key for the three roles of a volume')
    .argument('<FILE>', 'Where it is written; nothing is overwritten')
    .addHelpText('after', '\nExample:\n  godwit protect key protect.key')
    .action(async (file: string) => {
      const route = await session.loadProtect();
      route.makeKey(file);
      printLines(session, [`${file} holds a new key; give the same file to all three roles, and to nobody else`]);
      done(0);
    });
}
