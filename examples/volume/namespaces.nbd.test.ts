import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { runCommand } from '../../test/servers/run-command.ts';
import { waitFor } from '../../test/servers/wait-for.ts';
import { makeSites } from './make-sites.ts';
import { listNamespaces, NamespacedSites } from './namespaces.ts';
import type { Site, Sites } from './sites.ts';

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

function nodeAt(sites: Sites, site: Site, script: string): [command: string, args: string[]] {
  const [command = '', ...args] = [...sites.within(site), process.execPath, '-e', script];
  return [command, args];
}

/** Answers with its name, at an address of its site. */
async function listenAt(sites: Sites, site: 'auxiliary' | 'dr'): Promise<void> {
  const [host, port] = sites.listen[site].split(':') as [string, string];
  const script = `require('net').createServer((s) => s.end('${site}')).listen(${port}, '${host}', () => console.log('listening'))`;
  const [command, args] = nodeAt(sites, site, script);
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  closers.push(() => child.kill('SIGKILL'));
  await once(child.stdout, 'data');
}

/** What answers at an address, as seen from a site; nothing where nobody is reached within a second. */
async function reach(sites: Sites, from: Site, address: string): Promise<string> {
  const [host, port] = address.split(':') as [string, string];
  const script = `
    const s = require('net').connect({ host: '${host}', port: ${port} });
    s.on('data', (d) => process.stdout.write(d)).on('end', () => process.exit()).on('error', () => process.exit());
    setTimeout(() => process.exit(), 1000);`;
  return (await runCommand(...nodeAt(sites, from, script))).stdout;
}

test('the DR is reached by the far line only, and a site that is cut off by nothing', async () => {
  const sites = await NamespacedSites.make(10);
  closers.push(() => sites.close());
  await Promise.all([listenAt(sites, 'auxiliary'), listenAt(sites, 'dr')]);
  const { primary, dr } = sites.dial;
  expect(await reach(sites, 'primary', primary.auxiliary)).toBe('auxiliary');
  expect(await reach(sites, 'primary', primary.dr)).toBe('dr');
  expect(await reach(sites, 'dr', dr.auxiliary)).toBe('auxiliary');
  expect(await reach(sites, 'primary', sites.listen.dr)).toBe('');
  expect(await reach(sites, 'dr', primary.auxiliary)).toBe('');

  await sites.cutOff('primary');
  expect(await reach(sites, 'primary', primary.auxiliary)).toBe('');
  expect(await reach(sites, 'primary', primary.dr)).toBe('');
  expect(await reach(sites, 'dr', dr.auxiliary)).toBe('auxiliary');

  await sites.reconnect('primary');
  expect(await reach(sites, 'primary', primary.auxiliary)).toBe('auxiliary');
  expect(await reach(sites, 'primary', primary.dr)).toBe('dr');
});

test('what a killed run has left is taken away by the next one, and what it made itself when it ends', async () => {
  const script = `
    import { NamespacedSites } from '${new URL('namespaces.ts', import.meta.url)}';
    await NamespacedSites.make(10);
    console.log('made');
    setInterval(() => {}, 1000);`;
  const args = ['--import', import.meta.resolve('tsx'), '--input-type=module', '-e', script];
  const other = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(other.stdout, 'data');
  const exited = once(other, 'exit');
  const ofOther = () => listNamespaces().filter((name) => name.includes(`-${other.pid}-`));
  const own = () => listNamespaces().filter((name) => name.includes(`-${process.pid}-`));

  const beside = await NamespacedSites.make(10);
  expect(ofOther()).toHaveLength(4);
  expect(own()).toHaveLength(4);
  await beside.close();
  expect(own()).toHaveLength(0);

  const children = readFileSync(`/proc/${other.pid}/task/${other.pid}/children`, 'utf8').trim().split(' ');
  const line = children.find((pid) => readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('line-main.ts'));
  expect(line).toBeDefined();
  other.kill('SIGKILL');
  await exited;
  expect(ofOther()).toHaveLength(4);
  const sites = await NamespacedSites.make(10);
  expect(ofOther()).toHaveLength(0);
  await sites.close();
  expect(own()).toHaveLength(0);
  // Its proxy has ended by itself.
  await waitFor(() => !existsSync(`/proc/${line}`), {
    timeoutMs: 10_000,
    what: 'the far line of the killed run to end',
  });
});

test('a machine that gives no namespaces: all on loopback, and why', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'godwit-no-ip-'));
  closers.push(() => rmSync(dir, { recursive: true }));
  const ip = join(dir, 'ip');
  writeFileSync(
    ip,
    '#!/bin/sh\n[ "$1" = -V ] || { echo "mount --make-shared failed: Operation not permitted" >&2; exit 1; }\n',
  );
  chmodSync(ip, 0o755);
  const { PATH } = process.env;
  process.env['PATH'] = `${dir}:${PATH}`;
  try {
    const { sites, why } = await makeSites(10);
    closers.push(() => sites.close());
    expect(sites.network).toBe('loopback');
    expect(why).toContain('Operation not permitted');
    await Promise.all([listenAt(sites, 'auxiliary'), listenAt(sites, 'dr')]);
    expect(await reach(sites, 'primary', sites.dial.primary.dr)).toBe('dr');
    expect(await reach(sites, 'dr', sites.dial.dr.auxiliary)).toBe('auxiliary');
  } finally {
    process.env['PATH'] = PATH;
  }
});
