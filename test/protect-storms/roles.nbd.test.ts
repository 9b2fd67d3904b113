import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { NbdClient } from '../../src/adapters/nbd/index.ts';
import {
  type AuxiliaryStatus,
  failback,
  type PrimaryStatus,
  type ProtectEvent,
  promote,
  type RoleStatus,
  runAuxiliary,
  runDr,
  runPrimary,
  type Sharing,
  status,
} from '../../src/routes/protect/index.ts';
import { pickFreePort } from '../servers/ports.ts';
import { waitFor } from '../servers/wait-for.ts';
import { BLOCK, stamp } from './ledger.ts';

const never = new AbortController().signal;

type Promoted = Awaited<ReturnType<typeof promote>>;

/** Three roles in this process, each with an end of its own. */
async function start(
  more: {
    readonly drSize?: number;
    readonly drKey?: boolean;
    readonly sharing?: Sharing;
    readonly area?: boolean;
  } = {},
) {
  const dir = mkdtempSync(join(tmpdir(), 'godwit-roles-'));
  const [near, far] = [await pickFreePort(), await pickFreePort()];
  const keys = ['ours', 'another'].map((name, i) => {
    writeFileSync(join(dir, name), `${String(i + 1).repeat(64)}\n`, { mode: 0o600 });
    return join(dir, name);
  });
  const events: (ProtectEvent & { readonly role: string })[] = [];
  const ends: { readonly stop: AbortController; readonly ended: Promise<void> }[] = [];
  const role = (name: string, run: (hooks: Parameters<typeof runDr>[1]) => Promise<void>) => {
    const stop = new AbortController();
    const onEvent = (event: ProtectEvent) => void events.push({ ...event, role: name });
    const ended = run({ signal: stop.signal, onEvent });
    ended.catch(() => undefined);
    ends.push({ stop, ended });
    return {
      stop: async () => {
        stop.abort();
        await ended;
      },
      ended,
    };
  };
  const shared = (name: string) => {
    return {
      volume: 'v',
      size: 256 * BLOCK,
      ring: 4 << 20,
      leaseMs: 1000,
      state: join(dir, name),
      key: keys[0],
      create: true,
      replace: false,
      metrics: undefined,
    };
  };
  const at = (port: number) => ({ host: '127.0.0.1', port });
  const area = more.area === true ? at(await pickFreePort()) : undefined;
  const auxiliaryOptions = { ...shared('auxiliary'), listen: at(near), area };
  const startAuxiliary = () => role('auxiliary', (hooks) => runAuxiliary(auxiliaryOptions, hooks));
  const auxiliary = startAuxiliary();
  const drOptions = {
    ...{ ...shared('dr'), listen: at(far), auxiliary: at(near), image: join(dir, 'dr.img') },
    ...{ nbd: { path: join(dir, 'dr.sock') } },
    ...(more.drSize === undefined ? {} : { size: more.drSize }),
    ...(more.drKey === true ? { key: keys[1] } : {}),
  };
  const startDr = () => role('dr', (hooks) => runDr(drOptions, hooks));
  const dr = startDr();
  const metricsPort = await pickFreePort();
  const primaryOptions = {
    ...{ ...shared('primary'), auxiliary: at(near), dr: at(far), image: join(dir, 'primary.img') },
    ...{
      nbd: { path: join(dir, 'primary.sock') },
      policy: 'zero' as const,
      sharing: more.sharing ?? ('lane' as const),
      patienceMs: undefined,
      replace: false,
      metrics: at(metricsPort),
    },
  };
  const startPrimary = () => role('primary', (hooks) => runPrimary(primaryOptions, hooks));
  onTestFinished(async () => {
    for (const { stop } of ends) stop.abort();
    await Promise.allSettled(ends.map(({ ended }) => ended));
    rmSync(dir, { recursive: true, force: true });
  });
  const said = (name: string, kind: string) =>
    waitFor(() => events.some((event) => event.role === name && event.kind === kind), {
      timeoutMs: 30_000,
      what: `the ${name} to say ${kind}`,
    });
  const connect = (name: string) =>
    NbdClient.connect({ address: { path: join(dir, `${name}.sock`) }, exportName: 'v' });
  return {
    dir,
    events,
    metricsPort,
    auxiliary,
    auxiliaryOptions,
    startAuxiliary,
    dr,
    startDr,
    startPrimary,
    said,
    connect,
    state: (name: string) => join(dir, name),
  };
}

test('written at the primary, read at the DR; the old primary is silent; everything goes on after a restart', async () => {
  const world = await start();
  let primary = world.startPrimary();
  await world.said('primary', 'leading');
  const first = await world.connect('primary');
  for (let block = 0; block < 100; block += 1) await first.write(block * BLOCK, stamp(block, 1), false);
  await first.writeZeroes(7 * BLOCK, BLOCK, { durable: true, mayTrim: true });
  await first.close();
  const page = await (await fetch(`http://127.0.0.1:${world.metricsPort}/metrics`)).text();
  expect(page).toContain('godwit_protect_mode{volume="v",role="primary",mode="full"} 1\n');
  expect(page).toMatch(/^godwit_protect_settled_operations_total\{volume="v",role="primary"\} 10\d$/m);
  await primary.stop();
  primary = world.startPrimary();
  await world.said('primary', 'serving');
  await waitFor(async () => (await status(world.state('primary'), never))?.role === 'primary', {
    timeoutMs: 10_000,
    what: 'the primary to answer again',
  });
  const second = await world.connect('primary');
  await second.write(0, stamp(0, 2), false);
  await expect(promote(world.state('dr'), false, never)).rejects.toMatchObject({ code: 'GW7012' });
  await second.close();
  await primary.stop();

  await takesOver(world.state('dr'));
  const there = await world.connect('dr');
  const content = Buffer.alloc(BLOCK);
  for (let block = 0; block < 100; block += 1) {
    await there.read(block * BLOCK, content);
    const wanted = block === 7 ? Buffer.alloc(BLOCK) : stamp(block, block === 0 ? 2 : 1);
    expect(content.equals(wanted), `block ${block}`).toBe(true);
  }
  await there.close();

  primary = world.startPrimary();
  await world.said('primary', 'deposed');
  const old = await world.connect('primary');
  await expect(old.read(0, content)).rejects.toThrow();
  await expect(old.write(0, stamp(0, 3), false)).rejects.toThrow();

  const away = await world.connect('dr');
  await away.write(5 * BLOCK, stamp(5, 2), true);
  await away.write(200 * BLOCK, stamp(200, 1), false);
  world.events.length = 0;
  const given = await failback(world.state('dr'), 10_000, never);
  // Two blocks were written here, in two chunks of four; of those only the blocks differ.
  expect(given).toMatchObject({ bytes: 2 * BLOCK, chunks: 2, unexpected: 0 });
  expect(await status(world.state('dr'), never)).toMatchObject({
    phase: 'following',
    failback: { step: 'ended', bytes: 2 * BLOCK, remainingBytes: 0 },
  });
  await expect(away.write(0, stamp(0, 4), true)).rejects.toThrow();
  await world.said('primary', 'leading');
  for (let block = 0; block < 256; block += 1) {
    await old.read(block * BLOCK, content);
    const version = block === 0 || block === 5 ? 2 : 1;
    const wanted = block === 7 || (block >= 100 && block !== 200) ? Buffer.alloc(BLOCK) : stamp(block, version);
    expect(content.equals(wanted), `block ${block} at home`).toBe(true);
  }
  await old.write(0, stamp(0, 5), true);
  await old.close();
  await waitFor(
    async () => levelOf(await status(world.state('dr'), never), await status(world.state('primary'), never)),
    {
      timeoutMs: 20_000,
      what: 'the DR to execute what comes from the primary',
    },
  );
  await expect(failback(world.state('dr'), 10_000, never)).rejects.toMatchObject({ code: 'GW1004' });

  // Lost once more: what was taken over then is what there was then, also after a restart of the DR.
  await primary.stop();
  const again = await takesOver(world.state('dr'));
  expect(again.epoch).toBeGreaterThan(given.epoch);
  const third = await world.connect('dr');
  await third.write(9 * BLOCK, stamp(9, 2), true);
  await third.close();
  await world.dr.stop();
  world.events.length = 0;
  world.startDr();
  await world.said('dr', 'listening');
  const { seconds: _, ...same } = again;
  expect(await promote(world.state('dr'), false, never)).toMatchObject(same);
  const last = await world.connect('dr');
  for (const [block, version] of [
    [0, 5],
    [5, 2],
    [9, 2],
    [200, 1],
  ] as const) {
    await last.read(block * BLOCK, content);
    expect(content.equals(stamp(block, version)), `block ${block} taken over again`).toBe(true);
  }
  await last.close();
});

test('written into the mounted area of the auxiliary, through its restart; the DR takes over from what lies there', async () => {
  const world = await start({ sharing: 'nbd', area: true });
  const primary = world.startPrimary();
  await world.said('primary', 'leading');
  const first = await world.connect('primary');
  const write = async (from: number, to: number) => {
    for (let block = from; block < to; block += 1) await first.write(block * BLOCK, stamp(block, 1), false);
  };
  await write(0, 40);
  const { settled } = (await status(world.state('primary'), never)) as PrimaryStatus;
  expect(await status(world.state('primary'), never)).toMatchObject({ sharedArea: { way: 'nbd', state: 'in use' } });
  await waitFor(async () => ((await status(world.state('auxiliary'), never)) as AuxiliaryStatus).last >= settled, {
    timeoutMs: 10_000,
    what: 'the auxiliary to find in its area what the primary wrote',
  });
  expect(await status(world.state('auxiliary'), never)).toMatchObject({ mounted: true });
  await world.auxiliary.stop();
  // Nobody confirms anything before the area is there again.
  const pending = first.write(40 * BLOCK, stamp(40, 1), false);
  const again = world.startAuxiliary();
  await pending;
  await write(41, 80);
  expect(await status(world.state('auxiliary'), never)).toMatchObject({ mounted: true });
  await first.close();
  await primary.stop();
  await again.stop();
  world.startAuxiliary();
  await takesOver(world.state('dr'));
  expect(await status(world.state('auxiliary'), never)).toMatchObject({ mounted: false });
  const there = await world.connect('dr');
  const content = Buffer.alloc(BLOCK);
  for (let block = 0; block < 80; block += 1) {
    await there.read(block * BLOCK, content);
    expect(content.equals(stamp(block, 1)), `block ${block}`).toBe(true);
  }
  await there.close();
});

test('a primary that is to mount an area which is not served says so', async () => {
  const world = await start({ sharing: 'nbd' });
  world.startPrimary();
  await world.said('primary', 'shared-area');
  expect(await status(world.state('primary'), never)).toMatchObject({ sharedArea: { way: 'nbd', state: 'refused' } });
});

/** Once the primary's lease is over. */
async function takesOver(state: string): Promise<Promoted> {
  let taken: Promoted | undefined;
  const ask = async () => {
    taken = await promote(state, false, never).catch((error: { code?: string }) => {
      if (error.code !== 'GW7012') throw error;
      return undefined;
    });
    return taken !== undefined;
  };
  await waitFor(ask, { timeoutMs: 30_000, what: 'the DR to take over' });
  return taken as unknown as Promoted;
}

/** Whether the DR has executed everything. */
function levelOf(dr: RoleStatus | undefined, primary: RoleStatus | undefined): boolean {
  return dr?.role === 'dr' && primary?.role === 'primary' && primary.mode === 'full' && dr.base === primary.last;
}

test('a DR that took over and finds its address taken serves when it is asked again', async () => {
  const world = await start();
  const primary = world.startPrimary();
  await world.said('primary', 'leading');
  const first = await world.connect('primary');
  for (let block = 0; block < 10; block += 1) await first.write(block * BLOCK, stamp(block, 1), false);
  await first.close();
  await primary.stop();
  const squatter = createServer();
  const path = join(world.dir, 'dr.sock');
  await new Promise<void>((resolve) => squatter.listen(path, resolve));
  const ask = () => promote(world.state('dr'), false, never).catch((error: { code?: string }) => error.code);
  await waitFor(async () => (await ask()) !== 'GW7012', { timeoutMs: 30_000, what: 'the lease to be over' });
  expect(await ask()).toMatch(/^GW/);
  expect(await status(world.state('dr'), never)).toMatchObject({ phase: 'promoting' });
  await new Promise((resolve) => squatter.close(resolve));
  expect(await promote(world.state('dr'), false, never)).toMatchObject({ manifest: { lost: [], complete: true } });
  expect(await status(world.state('dr'), never)).toMatchObject({ phase: 'promoted' });
  const there = await world.connect('dr');
  const content = Buffer.alloc(BLOCK);
  for (let block = 0; block < 10; block += 1) {
    await there.read(block * BLOCK, content);
    expect(content.equals(stamp(block, 1)), `block ${block}`).toBe(true);
  }
  await there.close();
});

test('roles that were told different things do not talk, and say what differs', async () => {
  const world = await start({ drSize: 512 * BLOCK });
  world.startPrimary();
  await world.said('primary', 'peer-refused');
  const refused = world.events.find(({ role, kind }) => role === 'primary' && kind === 'peer-refused');
  expect(refused?.data).toEqual({ peer: 'dr', why: `its size is ${512 * BLOCK}, not ${256 * BLOCK}` });
});

test('whoever has another key is not let in', async () => {
  const world = await start({ drKey: true });
  world.startPrimary();
  await waitFor(
    () => world.events.some(({ kind, data }) => kind === 'peer-connected' && data['peer'] === 'auxiliary'),
    {
      timeoutMs: 30_000,
      what: 'the auxiliary to be connected',
    },
  );
  // Long enough for several tries.
  await waitFor(async () => (await status(world.state('primary'), never))?.role === 'primary', {
    timeoutMs: 5_000,
    what: 'an answer',
  });
  const own = await status(world.state('primary'), never);
  expect(own).toMatchObject({
    peers: { auxiliary: { connected: true }, dr: { connected: false, order: { received: 0 } } },
  });
  expect(world.events.filter(({ kind, data }) => kind === 'peer-connected' && data['peer'] === 'dr')).toEqual([]);
});

test('an image without its state, and a state without its image, are refused', async () => {
  const world = await start();
  writeFileSync(join(world.dir, 'primary.img'), Buffer.alloc(256 * BLOCK, 1));
  await expect(world.startPrimary().ended).rejects.toMatchObject({ code: 'GW2204' });
  rmSync(join(world.dir, 'primary.img'));
  const primary = world.startPrimary();
  await world.said('primary', 'leading');
  await primary.stop();
  rmSync(join(world.dir, 'primary.img'));
  await expect(world.startPrimary().ended).rejects.toMatchObject({ code: 'GW2204' });
});

test('a role without its state does not take part as if it had never promised anything', async () => {
  const world = await start();
  const primary = world.startPrimary();
  await world.said('primary', 'leading');
  await Promise.all([primary.stop(), world.auxiliary.stop()]);
  rmSync(world.state('auxiliary'), { recursive: true });
  const options = { ...world.auxiliaryOptions, create: false };
  const hooks = { signal: never, onEvent: () => undefined };
  await expect(runAuxiliary(options, hooks)).rejects.toMatchObject({ code: 'GW2204' });
});

test('one state directory has one role', async () => {
  const world = await start();
  const primary = world.startPrimary();
  await world.said('primary', 'leading');
  await expect(world.startPrimary().ended).rejects.toMatchObject({ code: 'GW2203' });
  await primary.stop();
});
