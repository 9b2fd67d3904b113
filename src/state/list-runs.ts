import { existsSync, readdirSync } from 'node:fs';
import { GodwitError } from '../kernel/errors.ts';
import type { Phase } from '../kernel/phase.ts';
import { guarded } from './failures.ts';
import { isRunName, runPaths } from './run-dir.ts';
import { RunStore } from './run-store.ts';

/** A run as `listRuns` shows it. */
export interface RunSummary {
  readonly run: string;
  readonly route: string;
  readonly phase: Phase;
  readonly createdAtMs: number;
}

/** A run that could not be read, and why. */
export interface UnreadableRun {
  readonly run: string;
  readonly error: unknown;
}

/** The runs of a state directory by name; one that cannot be read comes with its error instead of hiding the others. */
export function listRuns(stateDir: string): (RunSummary | UnreadableRun)[] {
  if (!existsSync(stateDir)) return [];
  const names = guarded(stateDir, () => readdirSync(stateDir))
    .filter((name) => isRunName(name) && existsSync(runPaths(stateDir, name).database))
    .sort();
  const found: (RunSummary | UnreadableRun)[] = [];
  for (const run of names) {
    try {
      using store = RunStore.open(stateDir, run, { readOnly: true });
      found.push({ run, route: store.route, phase: store.phase, createdAtMs: store.createdAtMs });
    } catch (error) {
      if (error instanceof GodwitError && error.code === 'GW1002') continue; // its creation never ended
      found.push({ run, error });
    }
  }
  return found;
}
