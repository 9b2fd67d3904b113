import { join } from 'node:path';
import { FarLink } from '../../examples/volume/far-link.ts';
import type { DrStatus, Policy, PrimaryStatus, PromotionResult, Sharing } from '../../src/routes/protect/api.ts';
import { pickFreePort } from '../../test/servers/ports.ts';
import { protectCommand, RoleProcess } from '../../test/servers/protect-role.ts';
import { waitFor } from '../../test/servers/wait-for.ts';
import { HeldLane } from './held-lane.ts';

export interface WorldOptions {
  readonly dir: string;
  readonly policy: Policy;
  readonly sizeMiB: number;
  readonly ringMiB: number;
  /** Latency of the way to the DR, there and back; with 0 the same proxies pass on at once. */
  readonly roundTripMs: number;
  readonly sharing?: Sharing;
}

const VOLUME = 'v';

/** The three roles, without a key (`HeldLane` reads along), as processes of the built command; the DR behind a long line. */
export class World implements AsyncDisposable {
  readonly lane: HeldLane;
  readonly primary: RoleProcess;
  readonly dr: RoleProcess;
  readonly #auxiliary: RoleProcess;
  readonly #far: FarLink;
  readonly #dir: string;

  private constructor(dir: string, far: FarLink, lane: HeldLane, roles: readonly RoleProcess[]) {
    this.#dir = dir;
    this.#far = far;
    this.lane = lane;
    [this.#auxiliary, this.dr, this.primary] = roles as [RoleProcess, RoleProcess, RoleProcess];
  }

  static async start({ dir, policy, sizeMiB, ringMiB, roundTripMs, sharing = 'lane' }: WorldOptions): Promise<World> {
    const shared = [
      '--volume',
      VOLUME,
      '--size',
      `${sizeMiB}MiB`,
      '--ring',
      `${ringMiB}MiB`,
      '--lease',
      '2',
      '--create',
      '--insecure',
    ];
    const far = new FarLink(roundTripMs);
    const [nearPort, farPort, areaPort] = [await pickFreePort(), await pickFreePort(), await pickFreePort()];
    // Without a delay too, as what passes on the bytes takes its share of the processors.
    const lane = await HeldLane.start(await far.to(farPort));
    const role = (name: string, words: readonly string[]) =>
      new RoleProcess(name, dir, [name, ...shared, '--state', join(dir, name), ...words]);
    const auxiliary = role('auxiliary', ['--listen', `127.0.0.1:${nearPort}`, '--area', `127.0.0.1:${areaPort}`]);
    const dr = role('dr', [
      ...['--image', join(dir, 'dr.img'), '--listen', `127.0.0.1:${farPort}`],
      ...['--auxiliary', `127.0.0.1:${await far.to(nearPort)}`, '--nbd', `unix:${join(dir, 'dr.sock')}`],
    ]);
    // Making a large ring takes a while.
    await Promise.all([auxiliary.said('listening', 120_000), dr.said('listening', 120_000)]);
    const primary = role('primary', [
      ...['--image', join(dir, 'primary.img'), '--auxiliary', `127.0.0.1:${nearPort}`],
      ...['--dr', `127.0.0.1:${lane.port}`, '--nbd', `unix:${join(dir, 'primary.sock')}`, '--policy', policy],
      ...['--shared-area', sharing],
    ]);
    const world = new World(dir, far, lane, [auxiliary, dr, primary]);
    await primary.said('leading', 120_000);
    return world;
  }

  socket(role: 'primary' | 'dr'): string {
    return join(this.#dir, `${role}.sock`);
  }

  get exportName(): string {
    return VOLUME;
  }

  async status<S extends PrimaryStatus | DrStatus>(role: 'primary' | 'dr'): Promise<S> {
    const { code, out, err } = await protectCommand(['status', '--state', join(this.#dir, role), '--json']);
    if (code !== 0) throw new Error(`status of the ${role}: ${err}`);
    return JSON.parse(out) as S;
  }

  /** Asks until the lease of the lost primary is over; gives how long the request took that was granted. */
  async promote(): Promise<{ readonly result: PromotionResult; readonly commandSeconds: number }> {
    let granted: { result: PromotionResult; commandSeconds: number } | undefined;
    await waitFor(
      async () => {
        const began = performance.now();
        const { code, out, err } = await protectCommand([
          'promote',
          '--state',
          join(this.#dir, 'dr'),
          '--yes',
          '--json',
        ]);
        const commandSeconds = (performance.now() - began) / 1000;
        if (code === 0) granted = { result: JSON.parse(out) as PromotionResult, commandSeconds };
        else if (!`${out}${err}`.includes('GW7012')) throw new Error(`${out}${err}`);
        return granted !== undefined;
      },
      { timeoutMs: 120_000, what: 'the DR to take over' },
    );
    return granted as { result: PromotionResult; commandSeconds: number };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.primary.kill(), this.dr.kill(), this.#auxiliary.kill()]);
    await this.lane.close();
    await this.#far.close();
  }
}
