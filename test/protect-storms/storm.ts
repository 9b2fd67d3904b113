/** One volume, three real processes, faults by seed; at the end the primary is lost and the DR has to have everything. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { NbdClient } from '../../src/adapters/nbd/index.ts';
import type { DrStatus, PrimaryStatus, PromotionResult } from '../../src/routes/protect/api.ts';
import { pickFreePort } from '../servers/ports.ts';
import { protectCommand, RoleProcess } from '../servers/protect-role.ts';
import { waitFor } from '../servers/wait-for.ts';
import { Random } from '../storms/random.ts';
import { Client } from './client.ts';
import { BLOCK, Ledger } from './ledger.ts';

export interface StormOptions {
  readonly seed: number;
  readonly faults: number;
  readonly log: (line: string) => void;
}

export interface StormResult {
  readonly wrong: readonly string[];
  readonly acknowledged: number;
  readonly strikes: number;
}

type Name = 'primary' | 'auxiliary' | 'dr';
const NAMES: readonly Name[] = ['primary', 'auxiliary', 'dr'];

const BLOCKS = 1024;
const RING = '8MiB';
const LEASE_S = 1;

export async function playStorm({ seed, faults, log }: StormOptions): Promise<StormResult> {
  const random = new Random(seed);
  const policy = random.pick(['zero', 'zero', 'barrier'] as const);
  const patience = random.pick(['forever', '1.5']);
  const dir = mkdtempSync(join(tmpdir(), 'godwit-protect-storm-'));
  const sharing = seed % 2 === 0 ? 'nbd' : 'lane';
  const machines = await makeMachines(dir, policy, patience, sharing);
  const ledger = new Ledger(BLOCKS);
  let client: Client | undefined;
  let strikes = 0;
  try {
    for (const name of NAMES) machines.start(name);
    await machines.role('primary').said('leading');
    log(`policy ${policy}, patience ${patience}, shared area by ${sharing}`);
    const socket = join(dir, 'primary.sock');
    client = new Client({
      ...{ socket, exportName: 'v', blocks: BLOCKS, ledger, random: new Random(seed + 1) },
      safeAtOnce: policy === 'zero',
    });
    for (let fault = 0; fault < faults; fault += 1) {
      await sleep(random.between(100, 900));
      const name = random.pick(NAMES);
      strikes += 1;
      if (random.chance(0.5)) {
        log(`${name} is killed`);
        await machines.role(name).kill();
        await sleep(random.between(0, 1500));
        machines.start(name);
      } else {
        const ms = random.between(100, 2500);
        log(`${name} stands still for ${ms.toFixed(0)} ms`);
        machines.role(name).pause();
        await sleep(ms);
        machines.role(name).goOn();
      }
      // One failure at a time: the next comes when this one is over.
      await machines.isWhole();
    }
    await sleep(random.between(0, 500));
    const last = random.pick(['killed', 'stands still'] as const);
    log(`the primary ${last} for good`);
    if (last === 'killed') await machines.role('primary').kill();
    else {
      machines.role('primary').pause();
      ledger.nextEra();
    }
    const result = await machines.promote();
    log(`promoted: ${result.queued} queued, ${result.targets} on their way, ${result.manifest.lost.length} lost`);
    const wrong = [...client.wrong];
    if (last === 'stands still') {
      // It wakes up under an epoch that is over: nothing that it was asked since may be answered. What it was about to
      // say when it was stopped may come late, as on any slow line: the volume shows whether it was true.
      const before = ledger.acknowledged;
      machines.role('primary').goOn();
      await sleep(1000);
      if (ledger.inEra > 0) wrong.push(`${ledger.inEra} writes acknowledged by the old primary`);
      else if (ledger.acknowledged > before) log(`${ledger.acknowledged - before} acknowledgements came late`);
    }
    await client.stop();
    wrong.push(...ledger.contradictions(await readAll(join(dir, 'dr.sock'))));
    return { wrong, acknowledged: ledger.acknowledged, strikes };
  } finally {
    await machines.close();
    await client?.stop();
    rmSync(dir, { recursive: true, force: true });
  }
}

interface Machines {
  start(name: Name): void;
  role(name: Name): RoleProcess;
  /** All three keep up, with nothing missing anywhere. */
  isWhole(): Promise<void>;
  promote(): Promise<PromotionResult>;
  close(): Promise<void>;
}

async function makeMachines(dir: string, policy: string, patience: string, sharing: string): Promise<Machines> {
  const [near, far, area] = [await pickFreePort(), await pickFreePort(), await pickFreePort()];
  const running = new Map<Name, RoleProcess>();
  const shared = (name: Name) => [
    ...['--volume', 'v', '--size', String(BLOCKS * BLOCK), '--ring', RING, '--insecure', '--lease', String(LEASE_S)],
    ...(existsSync(join(dir, name, 'state')) ? [] : ['--create']),
    ...['--state', join(dir, name)],
  ];
  const own: Readonly<Record<Name, readonly string[]>> = {
    auxiliary: ['--listen', `127.0.0.1:${near}`, '--area', `127.0.0.1:${area}`],
    dr: [
      ...['--listen', `127.0.0.1:${far}`, '--auxiliary', `127.0.0.1:${near}`],
      ...['--image', join(dir, 'dr.img'), '--nbd', `unix:${join(dir, 'dr.sock')}`],
    ],
    primary: [
      ...['--auxiliary', `127.0.0.1:${near}`, '--dr', `127.0.0.1:${far}`, '--policy', policy, '--patience', patience],
      ...['--shared-area', sharing],
      ...['--image', join(dir, 'primary.img'), '--nbd', `unix:${join(dir, 'primary.sock')}`],
    ],
  };
  const status = async <T>(name: Name): Promise<T | undefined> => {
    const { code, out } = await protectCommand(['status', '--state', join(dir, name), '--json']);
    return code === 0 ? (JSON.parse(out) as T) : undefined;
  };
  return {
    start: (name) => {
      running.set(name, new RoleProcess(name, dir, [name, ...shared(name), ...own[name]]));
    },
    role: (name) => running.get(name) as RoleProcess,
    isWhole: async () => {
      const what = 'the three to be level again';
      await waitFor(
        async () => {
          const over = [...running].find(([, role]) => role.isOver);
          if (over !== undefined) throw new Error(`the ${over[0]} ended by itself`);
          const primary = await status<PrimaryStatus>('primary');
          if (primary?.phase !== 'leading' || primary.mode !== 'full') return false;
          const dr = await status<DrStatus>('dr');
          return dr !== undefined && !dr.stale && dr.last >= primary.settled;
        },
        { timeoutMs: 60_000, what },
      );
    },
    promote: async () => {
      let result: PromotionResult | undefined;
      await waitFor(
        async () => {
          const answer = await protectCommand(['promote', '--state', join(dir, 'dr'), '--yes', '--json']);
          if (answer.code === 0) result = JSON.parse(answer.out) as PromotionResult;
          else if (!/GW7012/.test(answer.out)) throw new Error(`promotion: ${answer.out}${answer.err}`);
          return result !== undefined;
        },
        { timeoutMs: 60_000, what: 'the DR to take over' },
      );
      return result as PromotionResult;
    },
    close: async () => {
      await Promise.all([...running.values()].map((role) => role.kill()));
    },
  };
}

async function readAll(socket: string): Promise<Buffer> {
  const volume = await NbdClient.connect({ address: { path: socket }, exportName: 'v' });
  try {
    const image = Buffer.alloc(BLOCKS * BLOCK);
    const step = 1 << 20;
    for (let at = 0; at < image.length; at += step) await volume.read(at, image.subarray(at, at + step));
    return image;
  } finally {
    await volume.close();
  }
}
