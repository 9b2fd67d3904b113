import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { afterEach, describe, expect, test } from 'vitest';
import { startNats } from './nats.ts';
import { startRabbitmq } from './rabbitmq.ts';
import { waitFor } from './wait-for.ts';

/** Whether the process runs; one that has ended and waits to be collected by its parent does not. */
function alive(pid: number): boolean {
  try {
    return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

test.each([
  ['nats', startNats],
  ['rabbitmq', startRabbitmq],
] as const)('%s is killed, comes back on its port, and stops for good', async (_name, start) => {
  const server = await start();
  const first = server.pid;
  expect(first !== undefined && alive(first)).toBe(true);
  await server.kill();
  expect(server.pid).toBeUndefined();
  await server.restart();
  await server.restart();
  const last = server.pid;
  expect(last !== undefined && last !== first && alive(last)).toBe(true);
  await server.stop();
  expect(last !== undefined && alive(last)).toBe(false);
  expect(existsSync(server.dir)).toBe(false);
});

describe('when the process that started them is killed', () => {
  const hosts: ChildProcess[] = [];
  afterEach(() => {
    for (const host of hosts.splice(0)) host.kill('SIGKILL');
  });

  test.each([
    ['nats.ts', 'startNats'],
    ['rabbitmq.ts', 'startRabbitmq'],
  ])('%s: nothing is left', async (file, start) => {
    const code = `
      import { readdirSync } from 'node:fs';
      import { ${start} } from ${JSON.stringify(new URL(file, import.meta.url).href)};
      const { dir } = await ${start}();
      console.log(JSON.stringify({ dir, pids: readdirSync(dir + '/pids').map(Number) }));
      setInterval(() => {}, 1000);`;
    const host = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', code], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    hosts.push(host);
    const [line] = (await once(createInterface({ input: host.stdout }), 'line')) as [string];
    const { dir, pids } = JSON.parse(line) as { readonly dir: string; readonly pids: readonly number[] };
    expect(pids.length).toBeGreaterThan(0);
    expect(pids.every(alive)).toBe(true);
    host.kill('SIGKILL');
    await waitFor(() => !pids.some(alive) && !existsSync(dir), { timeoutMs: 20_000, what: 'them to go' });
  });
});
