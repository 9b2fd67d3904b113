import { setTimeout as sleep } from 'node:timers/promises';
import { serveNbd } from '../../../adapters/nbd/index.ts';
import { GodwitError } from '../../../kernel/errors.ts';
import type { PrimaryOptions, ProtectHooks } from '../api.ts';
import { Primary } from '../engine/primary.ts';
import { ProtectedVolume } from '../protected-volume.ts';
import { NbdAreaClient } from './area-client.ts';
import type { ControlRequest } from './control.ts';
import { Lifetime, tell } from './events.ts';
import { CHUNK_BYTES, checkShared, openAreas, readKey, slotsOf, volumeNumber } from './layout.ts';
import { Network } from './network.ts';
import { machineNumber } from './newcomer.ts';
import { phaseOf, primaryStatus } from './primary-status.ts';
import { serving } from './serving.ts';
import { systemTicker } from './ticker.ts';
import { Verifying } from './verifying.ts';

/** So many heartbeats in a lease. */
const BEATS = 6;
const MOST_ON_ITS_WAY = 8 << 20;
const MOST_IN_MEMORY = 64 << 20;
const LOOK_EVERY_MS = 250;
const GROWS_WITHIN_MS = 30_000;

/**
 * Runs the primary until the signal is set: serves the volume by NBD, keeps its
 * own ring and image, sends order, data and shared blocks to the others.
 */
export async function runPrimary(options: PrimaryOptions, hooks: ProtectHooks): Promise<void> {
  checkShared(options);
  const areas = openAreas(options);
  const life = new Lifetime(hooks.signal);
  const network = new Network({
    self: 'primary',
    shared: options,
    dial: { auxiliary: options.auxiliary, dr: options.dr },
    hooks,
  });
  const mounts = options.sharing === 'nbd' ? new NbdAreaClient(options.auxiliary.host, readKey(options)) : undefined;
  let primary: Primary | undefined;
  let verifying: Verifying | undefined;
  const status = () => {
    const verify = verifying?.status;
    return primary && { ...primaryStatus(primary, options, network), ...(verify ? { verify } : {}) };
  };
  const answer = async (request: ControlRequest): Promise<unknown> => {
    if (request.ask === 'status') return status();
    if (request.ask === 'grow') {
      await grow(primary, request.size ?? 0);
      tell(hooks, 'grown', { size: request.size });
      return status();
    }
    if (request.ask !== 'verify')
      throw new GodwitError('GW1004', `This is the primary: ask the DR for a ${request.ask}`);
    if (verifying === undefined) throw new GodwitError('GW3001', 'The primary is still being opened');
    return await verifying.run(request.mend === true);
  };
  const work = async () => {
    let changes: NodeJS.Timeout | undefined;
    try {
      primary = await Primary.open({
        areas: {
          image: areas.image(options.image, options.imageAtFirst),
          ring: areas.ring(),
          state: areas.state(),
          dirty: areas.dirty(),
        },
        link: network,
        ...(mounts === undefined ? {} : { mounts }),
        ticker: systemTicker,
        size: options.size,
        volume: volumeNumber(options),
        settings: {
          policy: options.policy,
          leaseMs: options.leaseMs,
          beatMs: options.leaseMs / BEATS,
          resendMs: Math.max(250, options.leaseMs / BEATS),
          patienceMs: options.patienceMs,
          mostOperations: slotsOf(options),
          windowBytes: Math.min(MOST_ON_ITS_WAY, options.ring / 4),
          memoryBytes: MOST_IN_MEMORY,
          chunkBytes: CHUNK_BYTES,
        },
        failed: life.fail,
        ...(options.replace ? { replaces: machineNumber() } : {}),
        hasContent: options.imageAtFirst === 'kept',
      });
      const role = primary;
      await network.start((from, message) => role.receive(from, message));
      role.start();
      verifying = new Verifying(role, hooks);
      changes = watch(role, hooks);
      await Promise.race([emptyDr(role, hooks), life.ended]);
      if (hooks.signal.aborted) return;
      const volume = new ProtectedVolume(role, () => role.size);
      const server = await serveNbd({ address: options.nbd, exports: [{ name: options.volume, volume }] });
      tell(hooks, 'serving', { nbd: options.nbd, volume: options.volume, policy: options.policy });
      try {
        await life.ended;
      } finally {
        await server.close();
      }
    } finally {
      clearInterval(changes);
      network.close();
      mounts?.close();
    }
  };
  await serving(options, status, work, answer);
}

/** Of a volume that has content: nobody may write before a DR has begun that will be given all of it. */
async function emptyDr({ replenishing }: Primary, hooks: ProtectHooks): Promise<void> {
  if (!replenishing.isAwaited) return;
  tell(hooks, 'waiting', { for: 'a DR that begins empty: godwit protect dr … --create --replace' });
  while (replenishing.isAwaited && !hooks.signal.aborted) await sleep(LOOK_EVERY_MS);
}

function grow(primary: Primary | undefined, size: number): Promise<void> {
  return new Promise((resolve, reject) => {
    if (primary === undefined) return reject(new GodwitError('GW3001', 'The primary is still being opened'));
    primary.growing.start(size, GROWS_WITHIN_MS, (error) => (error ? reject(error) : resolve()));
  });
}

/** Tells when it begins or ceases to lead, and when the mode changes: an operator must see every weaker promise. */
function watch(primary: Primary, hooks: ProtectHooks): NodeJS.Timeout {
  let before = '';
  let sharing = primary.lanes.share.state;
  return setInterval(() => {
    const phase = phaseOf(primary);
    const mode = primary.modes.effective;
    const now = `${phase} ${mode}`;
    if (now !== before)
      tell(hooks, phase, { epoch: primary.leadership.epoch, ...(mode === undefined ? {} : { mode }) });
    before = now;
    const { state } = primary.lanes.share;
    if (state !== sharing && phase === 'leading') tell(hooks, 'shared-area', { state });
    sharing = state;
  }, LOOK_EVERY_MS);
}
