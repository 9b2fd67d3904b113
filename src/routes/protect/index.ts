/** Every write of a volume safe at a distance: three roles, and commands that talk to them. */
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { GodwitError } from '../../kernel/errors.ts';
import type { FailbackResult, PromotionResult, RewindResult, RewindTo, RoleStatus, VerifyResult } from './api.ts';
import { askRole } from './roles/control.ts';

export { becomeIoFlusher } from '../../adapters/linux-memory/index.ts';
export * from './api.ts';
export { type AttachOptions, runAttach } from './attach.ts';
export { runAuxiliary } from './roles/auxiliary-role.ts';
export { runDr } from './roles/dr-role.ts';
export { runPrimary } from './roles/primary-role.ts';
export { serveCopy } from './roles/serve-copy.ts';

const KEY_BYTES = 32;

/** What the role that works with a state directory says of itself. @throws GodwitError GW1001 when none does */
export function status(state: string, signal: AbortSignal): Promise<RoleStatus | undefined> {
  return askRole(state, { ask: 'status' }, signal);
}

/**
 * Makes the DR that works with this state directory take over.
 * @param force also without the auxiliary, and with operations missing: somebody answers for it
 * @throws GodwitError GW7012 while the primary lives, GW7013 when operations were missed
 */
export function promote(state: string, force: boolean, signal: AbortSignal): Promise<PromotionResult> {
  return askRole(state, { ask: 'promote', force }, signal);
}

/**
 * Makes the DR that works with this state directory take over from the living primary, which agrees: nothing is under way then.
 * @param stallMs how long writers may wait for it; after that the primary leads on
 * @throws GodwitError GW7033 when the primary keeps the lead
 */
export function switchOver(state: string, stallMs: number, signal: AbortSignal): Promise<PromotionResult> {
  return askRole(state, { ask: 'promote', planned: true, stallMs }, signal);
}

/**
 * Makes the volume of the primary that works with this state directory larger, while it is served.
 * @throws GodwitError GW7034 when it does not grow
 */
export function grow(state: string, size: number, signal: AbortSignal): Promise<RoleStatus> {
  return askRole(state, { ask: 'grow', size }, signal);
}

/**
 * Makes the promoted DR that works with this state directory give the volume back to the primary.
 * @param stallMs how long writers may wait for the switch; after that the DR goes on, and tries again later
 * @throws GodwitError GW7017 when no primary is there, GW1004 when the DR does not lead
 */
export function failback(state: string, stallMs: number, signal: AbortSignal): Promise<FailbackResult> {
  return askRole(state, { ask: 'failback', stallMs }, signal);
}

/**
 * Makes the primary that works with this state directory compare the DR's image with the volume, while both live.
 * @param mend what differs is sent again, and compared after that
 * @throws GodwitError GW7019 when the DR is away or has missed operations, GW1004 when this is no primary that leads
 */
export function verify(state: string, mend: boolean, signal: AbortSignal): Promise<VerifyResult> {
  return askRole(state, { ask: 'verify', mend }, signal);
}

/**
 * Makes the DR that works with this state directory write the volume as it was at an earlier moment into a new file.
 * @throws GodwitError GW7020 when that moment cannot be reached
 */
export function rewind(state: string, to: RewindTo, into: string, signal: AbortSignal): Promise<RewindResult> {
  return askRole(state, { ask: 'rewind', to, into }, signal);
}

/** Writes a new key for the three roles of a volume. @throws GodwitError GW1001 when something is there already, or it cannot be written */
export function makeKey(path: string): void {
  try {
    writeFileSync(path, `${randomBytes(KEY_BYTES).toString('hex')}\n`, { mode: 0o600, flag: 'wx' });
  } catch (error) {
    throw new GodwitError('GW1001', `No key can be written to ${path}: ${(error as Error).message}`, { cause: error });
  }
}
