/** Where a live move stands, on the disk before anything is done about it. */
import { join } from 'node:path';
import { invariant } from '../../kernel/errors.ts';
import { failpoint } from '../../kernel/failpoint.ts';
import { readDurable, writeDurably } from '../../state/index.ts';
import type { Certificate } from './api.ts';
import { type MovePhase, mayMove } from './phase.ts';

export interface PhaseFile {
  readonly version: 1;
  readonly name: string;
  readonly target: string;
  readonly phase: MovePhase;
  readonly since: string;
  /** How many cutovers were begun. */
  readonly turn: number;
  /** The target's files may be other than the source remembers: its services ran. */
  readonly isTargetUsed: boolean;
  readonly undone?: string | undefined;
  readonly gapMs?: number | undefined;
  readonly certificate?: Certificate | undefined;
}

export type Facts = Partial<Pick<PhaseFile, 'turn' | 'isTargetUsed' | 'undone' | 'gapMs' | 'certificate'>>;

const FILE = 'phase.json';

/** What is known without the agent; undefined when nothing was followed here. */
export function readPhase(stateDir: string): PhaseFile | undefined {
  return readDurable<PhaseFile>(join(stateDir, FILE));
}

export class PhaseStore {
  readonly #path: string;
  readonly #onEnter: (phase: MovePhase, because: string | undefined) => void;
  #file: PhaseFile;

  constructor(
    stateDir: string,
    about: { readonly name: string; readonly target: string },
    onEnter: (phase: MovePhase, because: string | undefined) => void,
  ) {
    this.#path = join(stateDir, FILE);
    this.#onEnter = onEnter;
    const known = readPhase(stateDir);
    const fresh = { version: 1, phase: 'copying', since: now(), turn: 0, isTargetUsed: false } as const;
    this.#file = { ...(known ?? fresh), ...about };
    writeDurably(this.#path, this.#file);
  }

  get file(): PhaseFile {
    return this.#file;
  }

  get phase(): MovePhase {
    return this.#file.phase;
  }

  enter(phase: MovePhase, facts: Facts = {}): void {
    invariant(mayMove(this.phase, phase), `A move cannot go from ${this.phase} to ${phase}`);
    if (phase !== 'copying') failpoint(`move.before-${phase}`);
    this.#file = { ...this.#file, ...facts, phase, since: now() };
    writeDurably(this.#path, this.#file);
    if (phase !== 'copying') failpoint(`move.after-${phase}`);
    this.#onEnter(phase, facts.undone);
  }

  note(facts: Facts): void {
    this.#file = { ...this.#file, ...facts };
    writeDurably(this.#path, this.#file);
  }
}

function now(): string {
  return new Date().toISOString();
}
