/** The commands that talk to the agent which runs with a state directory. */
import { GodwitError } from '../../kernel/errors.ts';
import { askControl } from '../../state/index.ts';
import type { CutoverOptions, CutoverResult, MoveStatus } from './api.ts';
import type { LiveRequest } from './live.ts';
import { type PhaseFile, readPhase } from './move-phase.ts';
import { statusOf } from './status.ts';

/** As the agent says it, or as it left it when it does not run. @throws GodwitError GW1002 when nothing was followed here */
export async function status(state: string, signal: AbortSignal): Promise<MoveStatus> {
  const known = phaseOf(state);
  try {
    return await ask<MoveStatus>(state, { ask: 'status' }, signal);
  } catch (error) {
    if (error instanceof GodwitError && error.code === 'GW1004') return statusOf(known);
    throw error;
  }
}

export function cutover(state: string, options: CutoverOptions, signal: AbortSignal): Promise<CutoverResult> {
  return ask(state, { ask: 'cutover', options }, signal);
}

export function commit(state: string, signal: AbortSignal): Promise<MoveStatus> {
  return ask(state, { ask: 'commit' }, signal);
}

export function rollback(state: string, signal: AbortSignal): Promise<MoveStatus> {
  return ask(state, { ask: 'rollback' }, signal);
}

function ask<T>(state: string, request: LiveRequest, signal: AbortSignal): Promise<T> {
  phaseOf(state);
  return askControl<T>(state, 'agent', request, signal).catch((error: unknown) => {
    if (!(error instanceof GodwitError) || error.code !== 'GW1001') throw error;
    throw new GodwitError('GW1004', `The agent of ${state} does not run; start it again with the same words`, {
      cause: error,
    });
  });
}

/** @throws GodwitError GW1002 when nothing was followed here */
function phaseOf(state: string): PhaseFile {
  const known = readPhase(state);
  if (known !== undefined) return known;
  throw new GodwitError('GW1002', `No live move was begun with ${state}`, { details: { state } });
}
