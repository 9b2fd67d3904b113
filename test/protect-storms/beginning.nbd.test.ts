/** Roles that are killed while they make what they need for a volume begin again with the same command. */
import { existsSync, mkdtempSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { pickFreePort } from '../servers/ports.ts';
import { RoleProcess } from '../servers/protect-role.ts';
import { waitFor } from '../servers/wait-for.ts';

/** So much that to take its space is no matter of a moment. */
const RING_MIB = 256;
const SIZE = 1 << 20;

async function world() {
  const dir = mkdtempSync(join(tmpdir(), 'godwit-beginning-'));
  const [near, far] = [await pickFreePort(), await pickFreePort()];
  let role: RoleProcess | undefined;
  onTestFinished(async () => {
    await role?.kill();
    rmSync(dir, { recursive: true, force: true });
  });
  const at = (name: string) => join(dir, name);
  const own = {
    auxiliary: ['--listen', `127.0.0.1:${near}`],
    dr: [
      ...['--listen', `127.0.0.1:${far}`, '--auxiliary', `127.0.0.1:${near}`, '--image', at('dr.img')],
      ...['--nbd', `unix:${at('sock')}`],
    ],
  };
  const start = (name: 'auxiliary' | 'dr') => {
    const shared = ['--volume', 'v', '--size', String(SIZE), '--ring', `${RING_MIB}MiB`, '--insecure', '--create'];
    role = new RoleProcess(name, dir, [name, ...shared, '--state', at(name), ...own[name]]);
    return role;
  };
  return { at, start };
}

/** Kills it once `made` is there and before it has begun; where it was faster, once more from nothing. */
async function killedAsItBegins(name: 'auxiliary' | 'dr', made: string) {
  for (let attempt = 0; attempt < 10; attempt += 1) {
    const { at, start } = await world();
    const role = start(name);
    const isThere = () => existsSync(at(made)) && statSync(at(made)).size > 0;
    await waitFor(isThere, { timeoutMs: 30_000, intervalMs: 1, what: `${made} to be there` }).catch(() => undefined);
    await role.kill();
    if (existsSync(at(made)) && !existsSync(join(at(name), 'state'))) return { at, start };
  }
  throw new Error(`The ${name} always begins before it can be killed`);
}

test('a DR that is killed between its image and its state begins again, and nothing has to be removed', async () => {
  const { start } = await killedAsItBegins('dr', 'dr.img');
  await start('dr').said('listening');
});

test('an auxiliary that is killed while it takes the space of its ring begins again', async () => {
  const { at, start } = await killedAsItBegins('auxiliary', 'auxiliary/ring.new');
  expect(existsSync(at('auxiliary/ring'))).toBe(false);
  await start('auxiliary').said('listening');
  expect(statSync(at('auxiliary/ring')).size).toBe(RING_MIB << 20);
});

test('an image of which a single block was ever written is not taken for a new one', async () => {
  const { at, start } = await world();
  writeFileSync(at('dr.img'), 'x');
  truncateSync(at('dr.img'), SIZE);
  const refused = start('dr');
  await waitFor(() => refused.isOver, { timeoutMs: 30_000, what: 'the DR to refuse it' });
  expect(existsSync(join(at('dr'), 'state'))).toBe(false);
});
