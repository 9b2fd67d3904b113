/** The three roles as processes on one machine, and an attached volume with a file system on it. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DrStatus, PrimaryStatus, PromotionResult, RoleStatus, Sharing } from '../../src/routes/protect/api.ts';
import { pickFreePort } from '../servers/ports.ts';
import { protectCommand, RoleProcess } from '../servers/protect-role.ts';
import { waitFor } from '../servers/wait-for.ts';

export type Name = 'primary' | 'auxiliary' | 'dr';

type Ports = Readonly<Record<'near' | 'far' | 'area', number>>;

export interface MachinesOptions {
  readonly policy: 'zero' | 'barrier';
  readonly size: string;
  readonly ring?: string;
  readonly leaseS?: number;
  readonly patience?: string;
  readonly sharing?: Sharing;
}

export class Machines {
  readonly dir: string;
  readonly #options: MachinesOptions;
  readonly #ports: Ports;
  readonly #running = new Map<string, RoleProcess>();

  static async make(options: MachinesOptions): Promise<Machines> {
    return new Machines(options, { near: await pickFreePort(), far: await pickFreePort(), area: await pickFreePort() });
  }

  private constructor(options: MachinesOptions, ports: Ports) {
    this.dir = mkdtempSync(join(tmpdir(), 'godwit-machines-'));
    this.#options = options;
    this.#ports = ports;
  }

  socket(name: string): string {
    return join(this.dir, `${name}.sock`);
  }

  /** `more`: flags of this start alone. */
  start(name: Name, more: readonly string[] = []): RoleProcess {
    const { policy, size, ring = '16MiB', leaseS = 2, patience = 'forever', sharing = 'lane' } = this.#options;
    const at = (port: number) => `127.0.0.1:${port}`;
    const { near, far, area } = this.#ports;
    const shared = [
      ...['--volume', 'v', '--ring', ring, '--insecure', '--lease', String(leaseS)],
      ...(more.includes('--size') ? [] : ['--size', size]),
      ...(existsSync(join(this.dir, name, 'state')) ? [] : ['--create']),
      ...['--state', join(this.dir, name)],
    ];
    const image = ['--image', join(this.dir, `${name}.img`), '--nbd', `unix:${this.socket(name)}`];
    const own: Readonly<Record<Name, readonly string[]>> = {
      auxiliary: ['--listen', at(near), '--area', at(area)],
      dr: ['--listen', at(far), '--auxiliary', at(near), ...image],
      primary: [
        ...['--auxiliary', at(near), '--dr', at(far), '--policy', policy, '--patience', patience],
        ...['--shared-area', sharing, ...image],
      ],
    };
    return this.run(name, [name, ...shared, ...own[name], ...more]);
  }

  /** All three, until the primary leads. */
  async startAll(): Promise<void> {
    for (const name of ['auxiliary', 'dr', 'primary'] as const) this.start(name);
    await this.role('primary').said('leading');
  }

  /** Serves the volume at `user.sock`. */
  async attach(graceS = 60): Promise<RoleProcess> {
    const relay = this.run('attach', [
      ...['attach', '--volume', 'v', '--from', `unix:${this.socket('primary')}`, `unix:${this.socket('dr')}`],
      ...['--nbd', `unix:${this.socket('user')}`, '--grace', String(graceS)],
    ]);
    await relay.said('serving');
    return relay;
  }

  run(name: string, words: readonly string[]): RoleProcess {
    const role = new RoleProcess(name, this.dir, words);
    this.#running.set(name, role);
    return role;
  }

  role(name: string): RoleProcess {
    return this.#running.get(name) as RoleProcess;
  }

  async status<T extends RoleStatus>(name: Name): Promise<T | undefined> {
    const { code, out } = await protectCommand(['status', '--state', join(this.dir, name), '--json']);
    return code === 0 ? (JSON.parse(out) as T) : undefined;
  }

  /** Both others have all that the primary has. */
  async areLevel(): Promise<void> {
    await waitFor(
      async () => {
        const [near, far] = [await this.status<PrimaryStatus>('primary'), await this.status<DrStatus>('dr')];
        return near?.mode === 'full' && far?.stale === false && far.base === near.last;
      },
      { timeoutMs: 60_000, what: 'all three to be level' },
    );
  }

  /** Once the primary's lease is over. */
  async promote(): Promise<PromotionResult> {
    let result: PromotionResult | undefined;
    const ask = async () => {
      const { code, out, err } = await protectCommand([
        ...['promote', '--state', join(this.dir, 'dr'), '--yes', '--json'],
      ]);
      if (code === 0) result = JSON.parse(out) as PromotionResult;
      else if (!out.includes('GW7012')) throw new Error(`promotion: ${out}${err}`);
      return result !== undefined;
    };
    await waitFor(ask, { timeoutMs: 150_000, what: 'the DR to take over' });
    return result as PromotionResult;
  }

  async close(): Promise<void> {
    await Promise.all([...this.#running.values()].map((role) => role.kill()));
    rmSync(this.dir, { recursive: true, force: true });
  }
}
