/** The services of the target: started when the source says so, never before, and never by an older cutover. */
import { join } from 'node:path';
import type { Serve, Services, TargetServices } from '../../adapters/linux-files/index.ts';
import { GodwitError } from '../../kernel/errors.ts';
import { readDurable, writeDurably } from '../../state/index.ts';
import type { ReceiveOptions, RelocateEvent } from './api.ts';
import { runShell } from './shell.ts';

interface Remembered {
  readonly state: 'stopped' | 'unsure' | 'running';
  readonly turn: number;
}

export function targetServices(
  options: Pick<ReceiveOptions, 'state' | 'startCommand' | 'stopCommand' | 'commandTimeout'>,
  onEvent: (event: RelocateEvent) => void,
): Services {
  const { startCommand, stopCommand } = options;
  const path = join(options.state, 'services.json');
  let known: Remembered = readDurable<Remembered>(path) ?? { state: 'stopped', turn: 0 };
  const become = (state: Remembered['state'], turn: number) => {
    known = { state, turn };
    writeDurably(path, known);
  };
  const run = (name: string, line: string) =>
    runShell({
      name: `${name} of the target`,
      line,
      logFile: join(options.state, `${name.slice(2)}.log`),
      timeoutMs: options.commandTimeout * 1000,
    });
  return {
    get known(): TargetServices {
      return startCommand === undefined && known.state === 'stopped' ? { state: 'none', turn: known.turn } : known;
    },
    async serve({ want, turn }: Serve): Promise<void> {
      if (turn < known.turn || (want === 'running' && turn === known.turn && known.state === 'stopped' && turn > 0))
        throw new GodwitError('GW2405', `Cutover ${turn} is over; the target is at ${known.turn}`);
      if (want === 'running') {
        if (startCommand === undefined || stopCommand === undefined)
          throw new GodwitError('GW2406', 'The target has no --start-command and --stop-command');
        if (known.state === 'running') return;
        become('unsure', turn);
        await run('--start-command', startCommand);
        become('running', turn);
        onEvent({ type: 'event', kind: 'services', state: 'running' });
        return;
      }
      if (known.state !== 'stopped') {
        if (stopCommand === undefined) throw new GodwitError('GW2406', 'The target has no --stop-command');
        become('unsure', turn);
        await run('--stop-command', stopCommand);
        onEvent({ type: 'event', kind: 'services', state: 'stopped' });
      }
      become('stopped', turn);
    },
  };
}
