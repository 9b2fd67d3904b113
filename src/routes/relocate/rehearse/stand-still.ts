/** Nobody writes to the staging root: the receiver lets its source wait, or there is none and none may start. */
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { GodwitError } from '../../../kernel/errors.ts';
import { acquireLock, readDurable } from '../../../state/index.ts';
import { askHold } from '../hold.ts';
import type { RehearseHooks, RehearseResult } from './api.ts';

export interface Still extends AsyncDisposable {
  readonly between: RehearseResult['betweenRounds'];
}

export async function standStill(state: string, { signal, onEvent }: RehearseHooks): Promise<Still> {
  const services = readDurable<{ state: string }>(join(state, 'services.json'))?.state ?? 'stopped';
  if (services !== 'stopped')
    throw new GodwitError('GW2405', `The services of the target are ${services}: nothing is cloned under them`);
  const startedAt = performance.now();
  const tell = (by: 'receiver' | 'lock') =>
    onEvent({ type: 'event', kind: 'held', by, seconds: (performance.now() - startedAt) / 1000 });
  mkdirSync(state, { recursive: true, mode: 0o700 });
  try {
    const lock = acquireLock({ lock: join(state, 'lock.db'), lockOwner: join(state, 'owner.pid') }, state);
    tell('lock');
    // A journal tells that a source was here, and not how far it was.
    const between = existsSync(join(state, 'journal')) ? 'unknown' : 'yes';
    return { between, [Symbol.asyncDispose]: () => Promise.resolve(lock.release()) };
  } catch (error) {
    if (!(error instanceof GodwitError) || error.code !== 'GW7001') throw error;
  }
  onEvent({ type: 'event', kind: 'waiting' });
  const held = await askHold(state, signal);
  tell('receiver');
  return { between: held.between, [Symbol.asyncDispose]: () => Promise.resolve(held[Symbol.dispose]()) };
}
