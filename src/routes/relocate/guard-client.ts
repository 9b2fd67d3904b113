/** Starts the guard (guard.ts) before services are stopped, and tells it when that is over. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import type { AgentHooks, AgentOptions, GuardOrder } from './api.ts';
import { OVER } from './guard.ts';

const READY_WITHIN_MS = 20_000;
const END_WITHIN_MS = 5_000;

export type Guard = AsyncDisposable;

/** Without a guard nothing else is different: then an agent that is killed has to be started again. */
export async function startGuard(options: AgentOptions, hooks: AgentHooks): Promise<Guard> {
  const { program, state, name, address: target, services } = options;
  const tell = (because: string) => hooks.onEvent({ type: 'event', kind: 'no-guard', because });
  if (program === undefined) {
    tell('nobody said how this program is started');
    return { [Symbol.asyncDispose]: async () => {} };
  }
  const [path = '', ...words] = program;
  // Where a test has the agent killed, the guard must not be.
  const { GODWIT_FAILPOINT: _, ...env } = process.env;
  const child = spawn(path, [...words, 'relocate', 'guard'], {
    // A session of its own: what ends our group must not end it.
    detached: true,
    stdio: ['pipe', 'pipe', 'ignore'],
    env,
  });
  child.stdin?.on('error', () => undefined);
  const ended = new Promise<void>((resolve) => {
    child.once('exit', () => resolve());
    child.once('error', () => resolve());
  });
  child.stdin?.write(`${JSON.stringify({ state, name, target, services } satisfies GuardOrder)}\n`);
  const why = await firstOf(child, ended);
  if (why !== undefined) tell(why);
  return {
    [Symbol.asyncDispose]: async () => {
      child.stdin?.end(`${OVER}\n`);
      // Nothing is stopped any more: one that hangs need not be heard.
      const late = setTimeout(() => child.kill('SIGKILL'), END_WITHIN_MS);
      await ended;
      clearTimeout(late);
    },
  };
}

/** Why it is not ready; undefined when it is. */
async function firstOf(child: ChildProcess, ended: Promise<void>): Promise<string | undefined> {
  const late = new AbortController();
  try {
    return await Promise.race([
      once(child.stdout as NodeJS.ReadableStream, 'data').then(() => undefined),
      ended.then(() => 'it ended at once'),
      sleep(READY_WITHIN_MS, `it was not ready after ${READY_WITHIN_MS / 1000} s`, { signal: late.signal }),
    ]);
  } finally {
    late.abort();
  }
}
