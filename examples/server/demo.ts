/**
 * `npm run demo:relocate`: a web shop with its database moves to another machine
 * while customers order. This part makes room for the demo and clears up after
 * it: everything happens in namespaces of its own, which go with their first
 * process, however that ends.
 */
import { spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { waitFor } from '../../test/servers/wait-for.ts';
import { findCgroups } from './machine.ts';

const LIMIT_MS = 3 * 60_000;

if (process.platform !== 'linux' || process.getuid?.() !== 0) {
  process.stderr.write('demo:relocate makes file systems and namespaces: it needs Linux, and root\n');
  process.exit(1);
}
const dir = mkdtempSync(join(tmpdir(), 'godwit-server-'));
// PostgreSQL, which is somebody else, goes through it.
chmodSync(dir, 0o711);
const cgroups = join(findCgroups(), `godwit-demo-${process.pid}`);
mkdirSync(cgroups);
const play = fileURLToPath(new URL('./play.ts', import.meta.url));
const flags = ['--mount', '--net', '--pid', '--fork', '--kill-child', '--mount-proc'];
const child = spawn(
  'unshare',
  [...flags, process.execPath, ...process.execArgv, play, dir, cgroups, ...process.argv.slice(2)],
  { stdio: 'inherit' },
);
const end = () => child.kill('SIGKILL');
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, end);
const limit = setTimeout(() => {
  process.stderr.write(`not done after ${LIMIT_MS / 60_000} minutes\n`);
  end();
}, LIMIT_MS);
const code = await new Promise<number>((resolve) => child.once('exit', (status) => resolve(status ?? 1)));
clearTimeout(limit);
await clearUp();
process.exitCode = code;

/** Control groups belong to no namespace: whatever is left in them is ended, frozen or not. */
async function clearUp(): Promise<void> {
  writeFileSync(join(cgroups, 'cgroup.kill'), '1');
  const groups = readdirSync(cgroups, { withFileTypes: true }).filter((each) => each.isDirectory());
  for (const path of [...groups.map(({ name }) => join(cgroups, name)), cgroups]) {
    const isGone = () => {
      if (existsSync(path)) rmdirSync(path);
      return true;
    };
    await waitFor(isGone, { timeoutMs: 10_000, what: `${path} to be empty` });
  }
  rmSync(dir, { recursive: true, force: true });
}
