import type { AuxiliaryOptions, AuxiliaryStatus, ProtectHooks } from '../api.ts';
import { Auxiliary } from '../engine/auxiliary.ts';
import { NbdAreaServer } from './area-server.ts';
import { Lifetime, tell } from './events.ts';
import { checkShared, openAreas, readKey, slotsOf, volumeNumber } from './layout.ts';
import { Network } from './network.ts';
import { machineNumber, tellWhenComplete } from './newcomer.ts';
import { serving } from './serving.ts';
import { systemTicker } from './ticker.ts';

const LOOK_EVERY_MS = 1_000;
const RETRY_MS = 100;

/** Runs the auxiliary until the signal is set: keeps what the primary shares with it, and votes. */
export async function runAuxiliary(options: AuxiliaryOptions, hooks: ProtectHooks): Promise<void> {
  checkShared(options);
  const areas = openAreas(options);
  const life = new Lifetime(hooks.signal);
  const network = new Network({ self: 'auxiliary', shared: options, listen: options.listen, dial: {}, hooks });
  let auxiliary: Auxiliary | undefined;
  let seen: AuxiliaryStatus | undefined;
  const look = async () => {
    if (auxiliary !== undefined) {
      const { epoch, base, last } = await auxiliary.glance();
      const { isIncomplete: incomplete, isMounted: mounted } = auxiliary;
      const at = { epoch, base: base.sequence, last: last.sequence };
      const ringFill = (last.place - base.place) / options.ring;
      seen = { role: 'auxiliary', volume: options.volume, incomplete, ...at, ringFill, mounted };
    }
    return seen;
  };
  const work = async () => {
    const server = options.area && (await NbdAreaServer.listen(options.area, options.volume, readKey(options)));
    // While a primary writes into the area, nobody tells this side how far it is.
    const looking = setInterval(() => void look().catch(life.fail), LOOK_EVERY_MS);
    try {
      auxiliary = await Auxiliary.open({
        areas: { ring: areas.ring(), state: areas.state(), table: areas.table() },
        slots: slotsOf(options),
        link: network,
        ...(server === undefined ? {} : { server }),
        ticker: systemTicker,
        volume: volumeNumber(options),
        leaseMs: options.leaseMs,
        retryMs: RETRY_MS,
        failed: life.fail,
        ...(options.replace ? { replaces: machineNumber() } : {}),
      });
      tellWhenComplete(auxiliary, hooks);
      const role = auxiliary;
      await look();
      await network.start((from, message) => role.receive(from, message));
      tell(hooks, 'listening', {
        ...{ listen: options.listen, volume: options.volume },
        ...(options.area === undefined ? {} : { area: options.area }),
      });
      await life.ended;
    } finally {
      clearInterval(looking);
      network.close();
      await server?.close();
    }
  };
  await serving(options, () => seen, work, look);
}
