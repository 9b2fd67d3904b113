/** The services of the source: how they are made to stand still, and go on. */
import { accessSync, constants, existsSync, readdirSync, readFileSync, realpathSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { GodwitError } from '../../kernel/errors.ts';
import type { ServiceOptions } from './api.ts';
import { runShell } from './shell.ts';

const LOOK_EVERY_MS = 2;

export class SourceServices {
  readonly #options: ServiceOptions;
  readonly #state: string;

  constructor(options: ServiceOptions, state: string) {
    this.#options = options;
    this.#state = state;
  }

  /** Whether anybody said how they are stopped. */
  get areKnown(): boolean {
    return this.#options.stopCommand !== undefined || this.#options.freezeCgroup !== undefined;
  }

  /** What stopping them will do, in words. */
  get plan(): readonly string[] {
    const { stopCommand, freezeCgroup, freezeFiles } = this.#options;
    return [
      ...(stopCommand === undefined ? [] : [`run: ${stopCommand}`]),
      ...(freezeCgroup === undefined ? [] : [`freeze the ${processesIn(freezeCgroup)} processes of ${freezeCgroup}`]),
      ...(freezeFiles === undefined ? [] : [`freeze the file systems for at most ${freezeFiles} s`]),
    ];
  }

  /** @throws GodwitError GW1001 when they could not be stopped, as far as that can be known before. */
  check(): void {
    const { stopCommand, resumeCommand, freezeCgroup } = this.#options;
    if ((stopCommand === undefined) !== (resumeCommand === undefined))
      throw new GodwitError('GW1001', '--stop-command and --resume-command belong together: there must be a way back');
    if (freezeCgroup === undefined) return;
    const file = join(freezeCgroup, 'cgroup.freeze');
    try {
      accessSync(file, constants.W_OK);
    } catch (error) {
      throw new GodwitError('GW1001', `--freeze-cgroup ${freezeCgroup} is no control group of version 2`, {
        cause: error,
      });
    }
    if (holdsUs(freezeCgroup))
      throw new GodwitError('GW1001', `--freeze-cgroup ${freezeCgroup} holds this agent itself`);
  }

  /** Nothing of them runs when it resolves. */
  async stop(): Promise<void> {
    await this.#run('--stop-command', this.#options.stopCommand);
    await this.#freeze(true);
  }

  async resume(): Promise<void> {
    await this.#freeze(false);
    await this.#run('--resume-command', this.#options.resumeCommand);
  }

  /** Ends what stands still: it must never go on. */
  async end(): Promise<void> {
    const { freezeCgroup } = this.#options;
    if (freezeCgroup === undefined || !existsSync(freezeCgroup)) return;
    writeFileSync(join(freezeCgroup, 'cgroup.kill'), '1');
    await this.#until('populated', '0');
  }

  async #freeze(still: boolean): Promise<void> {
    const { freezeCgroup } = this.#options;
    if (freezeCgroup === undefined) return;
    if (!existsSync(freezeCgroup)) {
      // A group that is gone has nothing that runs.
      if (still) return;
      throw new GodwitError('GW5403', `${freezeCgroup} is gone: its processes cannot go on`);
    }
    writeFileSync(join(freezeCgroup, 'cgroup.freeze'), still ? '1' : '0');
    await this.#until('frozen', still ? '1' : '0');
  }

  async #until(name: string, value: string): Promise<void> {
    const { freezeCgroup, commandTimeout } = this.#options;
    const file = join(freezeCgroup ?? '', 'cgroup.events');
    const pattern = new RegExp(`^${name} ${value}$`, 'm');
    const until = performance.now() + commandTimeout * 1000;
    while (!pattern.test(readFileSync(file, 'utf8'))) {
      if (performance.now() > until)
        throw new GodwitError('GW5403', `${freezeCgroup} did not become ${name} ${value} in ${commandTimeout} s`);
      await sleep(LOOK_EVERY_MS);
    }
  }

  async #run(name: string, line: string | undefined): Promise<void> {
    if (line === undefined) return;
    await runShell({
      name: `${name} of the source`,
      line,
      logFile: join(this.#state, `${name.slice(2)}.log`),
      timeoutMs: this.#options.commandTimeout * 1000,
    });
  }
}

/** With those of the groups below it, which are frozen too. */
function processesIn(group: string): number {
  const here = readFileSync(join(group, 'cgroup.procs'), 'utf8').split('\n').filter(Boolean).length;
  const below = readdirSync(group, { withFileTypes: true }).filter((each) => each.isDirectory());
  return below.reduce((sum, { name }) => sum + processesIn(join(group, name)), here);
}

/** Whether this process would freeze itself. */
function holdsUs(group: string): boolean {
  const mounted = readFileSync('/proc/mounts', 'utf8')
    .split('\n')
    .find((line) => line.split(' ')[2] === 'cgroup2');
  const path = /^0::(.*)$/m.exec(readFileSync('/proc/self/cgroup', 'utf8'))?.[1];
  if (mounted === undefined || path === undefined) return false;
  return `${join(mounted.split(' ')[1] ?? '', path)}/`.startsWith(`${realpathSync(group)}/`);
}
