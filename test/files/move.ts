/** Moves a tree as the commands do, both sides in this process, and asks an independent program whether it arrived. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { AgentOptions, AgentProgress, AgentResult, RelocateEvent } from '../../src/routes/relocate/api.ts';
import { agent, receive } from '../../src/routes/relocate/index.ts';
import { must } from './file-system.ts';
import { needPrograms } from './packages.ts';

export const JUDGE = fileURLToPath(new URL('./judge.py', import.meta.url));

/** Options of an agent that copies once, and has no services. */
export const ONE_COPY = { name: 'default', once: true, services: { commandTimeout: 60 } } as const;

export interface Moved {
  readonly result: AgentResult;
  readonly events: readonly RelocateEvent[];
}

export interface MoveOptions extends Partial<Omit<AgentOptions, 'address' | 'mappings'>> {
  /** Seconds for which the file systems may be frozen. */
  readonly freezeFiles?: number;
  readonly onProgress?: (progress: AgentProgress) => void;
  readonly onEvent?: (event: RelocateEvent) => void;
}

/** A state of both sides that outlives one move, so that a second one goes on. */
export class Scratch implements Disposable {
  readonly dir = mkdtempSync(join(tmpdir(), 'godwit-move-'));

  [Symbol.dispose](): void {
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/** Copies `source` to `target`, which is the root of the receiver. */
export async function move(
  source: string,
  target: string,
  options: MoveOptions = {},
  scratch?: Scratch,
): Promise<Moved> {
  const own = scratch === undefined ? new Scratch() : undefined;
  const dir = (scratch ?? (own as Scratch)).dir;
  const address = `unix:${join(dir, 'socket')}`;
  const stop = new AbortController();
  const events: RelocateEvent[] = [];
  let isListening: () => void = () => undefined;
  const ready = new Promise<void>((resolve) => {
    isListening = resolve;
  });
  const onEvent = (event: RelocateEvent) => {
    events.push(event);
    if (event.kind === 'listening') isListening();
    options.onEvent?.(event);
  };
  const serving = receive(
    { address, root: target, state: join(dir, 'receive'), once: true, commandTimeout: 60 },
    { signal: stop.signal, onEvent },
  );
  try {
    await Promise.race([ready, serving]);
    const result = await agent(
      {
        address,
        mappings: [{ source, target: '/' }],
        state: options.state ?? join(dir, 'agent'),
        compress: options.compress ?? 'never',
        maxRate: options.maxRate,
        rounds: options.rounds ?? 8,
        ...ONE_COPY,
        logChanges: options.logChanges,
        services: { ...ONE_COPY.services, freezeFiles: options.freezeFiles },
        dryRun: options.dryRun ?? false,
        retryFor: options.retryFor ?? 5,
      },
      { signal: stop.signal, onEvent, onProgress: options.onProgress ?? (() => undefined) },
    );
    return { result, events };
  } finally {
    stop.abort();
    await serving.catch(() => undefined);
    own?.[Symbol.dispose]();
  }
}

/** Every difference of two trees, by a program that shares no code with Godwit. */
export async function differences(a: string, b: string, withExtents = false): Promise<readonly string[]> {
  await needPrograms('python3');
  const args = [JUDGE, 'compare', a, b, ...(withExtents ? ['--extents'] : [])];
  return (JSON.parse(await must('python3', args)) as { differences: string[] }).differences;
}

/** The hash of a tree as the judge computes it. */
export async function certify(root: string): Promise<string> {
  return (await must('python3', [JUDGE, 'certify', root])).trim();
}

/** Runs lines of Python with `root` as the tree's directory in bytes: what Node has no calls for. */
export function python(root: string, script: string): Promise<string> {
  return must('python3', [
    '-c',
    `import os,sys,mmap,socket,fcntl\nroot=os.fsencode(sys.argv[1])\nos.chdir(root)\n${script}`,
    root,
  ]);
}
