/** The file systems of the source are frozen for a while, when that was asked for; it is written down, so that none stays so. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { FrozenFileSystems, thaw } from '../../adapters/linux-files/index.ts';
import { GodwitError } from '../../kernel/errors.ts';
import { readDurable, writeDurably } from '../../state/index.ts';
import type { AgentOptions } from './api.ts';

export interface StillFiles extends AsyncDisposable {
  /** @throws GodwitError GW7403 when they went on meanwhile */
  mustHold(): void;
}

const FILE = 'frozen.json';

/** @throws GodwitError GW1001 when that must not be */
export function checkFreeze({ mappings, state, services }: AgentOptions): void {
  if (services.freezeFiles === undefined) return;
  FrozenFileSystems.check({ directories: mappings.map(({ source }) => source), written: [state] });
}

export async function freezeFiles({ mappings, state, services }: AgentOptions): Promise<StillFiles> {
  const { freezeFiles: seconds } = services;
  if (seconds === undefined) return { mustHold: () => {}, [Symbol.asyncDispose]: async () => {} };
  const file = join(state, FILE);
  const options = { directories: mappings.map(({ source }) => source), written: [state], seconds };
  writeDurably(file, { mounts: FrozenFileSystems.check(options) });
  const frozen = await FrozenFileSystems.begin(options);
  return {
    mustHold: () => {
      if (!frozen.holds) throw new GodwitError('GW7403', `It was not done after --freeze-files ${seconds} s`);
    },
    [Symbol.asyncDispose]: async () => {
      await frozen[Symbol.asyncDispose]();
      rmSync(file, { force: true });
    },
  };
}

/** Whoever was killed together with his watchdog left them frozen. */
export function thawLeft(state: string): void {
  const left = readDurable<{ readonly mounts: readonly string[] }>(join(state, FILE));
  if (left === undefined) return;
  thaw(left.mounts);
  rmSync(join(state, FILE));
}
