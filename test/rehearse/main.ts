/**
 * `npm run rehearsals`: a Debian is moved and followed while it changes, and
 * rehearsed on the way: its clone boots and answers, nothing gets out of it, and
 * nothing of the moved system changes. Exit code 1 when anything is not as it must be.
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  constants,
  copyFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { RehearseEvent, RehearseResult } from '../../src/routes/relocate/rehearse/api.ts';
import { parseProbe, rehearse } from '../../src/routes/relocate/rehearse/index.ts';
import { controller } from '../boots/controllers.ts';
import { mountDisk } from '../boots/disk.ts';
import { installTools } from '../boots/packages.ts';
import { sourceFor } from '../boots/source.ts';
import { makeWorkDir } from '../boots/work-dir.ts';
import { mountFresh } from '../files/file-system.ts';
import { certify } from '../files/move.ts';
import { waitFor } from '../servers/wait-for.ts';
import { LiveInProcess } from './live-in-process.ts';

const CLI = process.env['GODWIT_CLI'] ?? fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
/** Emulated, on a machine that has others to serve. */
const LIMIT = 900;
const DISK_MEGABYTES = 1400;
const NEW_PAGE = 'the shop is open, and has news\n';

const startedAt = performance.now();
const say = (line: string) =>
  console.log(`${((performance.now() - startedAt) / 1000).toFixed(0).padStart(5)} s  ${line}`);
const wrong: string[] = [];
const must = (isSo: boolean, what: string) => {
  if (!isSo) wrong.push(what);
  say(`${isSo ? '✓' : '✗'} ${what}`);
};

const dir = makeWorkDir();
const work = join(dir, 'rehearsal');

/** While it is frozen: all that is on the disk. */
function hashOfDisk(image: string): string {
  return spawnSync('sha256sum', [image]).stdout.toString().slice(0, 64);
}

/** Machines of this test that run. */
function machines(): readonly string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(`file=${dir}`);
      } catch {
        return false;
      }
    });
}

interface Ran {
  readonly code: number | null;
  readonly result: RehearseResult | undefined;
  readonly events: readonly RehearseEvent[];
}

/** The built command; killed at the first event of this kind. */
async function command(words: readonly string[], killAt?: RehearseEvent['kind']): Promise<Ran> {
  const child = spawn(process.execPath, [CLI, 'relocate', 'rehearse', ...words, '--json'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let out = '';
  child.stdout.on('data', (chunk) => {
    out += String(chunk);
    if (killAt !== undefined && out.includes(`"kind":"${killAt}"`)) child.kill('SIGKILL');
  });
  const [code] = (await once(child, 'close')) as [number | null];
  const lines = out.trim().split('\n').filter(Boolean);
  const parsed = lines.map((line) => JSON.parse(line) as RehearseEvent & { result?: RehearseResult });
  return { code, result: parsed.at(-1)?.result, events: parsed };
}

/** Somebody on this machine who must not be reached. */
const outside = createServer();
let reached = 0;
outside.on('connection', (socket) => {
  reached += 1;
  socket.destroy();
});

try {
  await installTools();
  const source = await sourceFor(controller('virtio-blk'));
  say('the source is there');
  const running = join(dir, 'source.img');
  copyFileSync(source.image, running, constants.COPYFILE_FICLONE);
  await using from = await mountDisk(running);
  await using to = await mountFresh('ext4', DISK_MEGABYTES);
  await new Promise<void>((resolve) => outside.listen(0, '127.0.0.1', () => resolve()));
  const address = outside.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;

  const live = new LiveInProcess();
  const journal = join(from.dir, 'srv/journal');
  const writer = setInterval(() => appendFileSync(journal, `${Date.now()}\n`), 50);
  const linesOf = (file: string) => (existsSync(file) ? readFileSync(file, 'utf8').split('\n').length : 0);
  try {
    await live.startReceive(to.dir);
    live.startAgent(from.dir, { retryFor: 60 });
    await live.follows();
    say(`moved, and followed while it changes: ${linesOf(join(to.dir, 'srv/journal'))} lines of its journal`);

    const hashes: string[] = [];
    const linesBefore = linesOf(journal);
    const probes = [
      'http://:80/',
      'tcp:22',
      'exec:systemctl is-active shop',
      `exec:grep -qx ${source.machineId} /etc/machine-id && ip -4 addr show ens3 | grep -q 10.9.8.7/24`,
      // Not before there is a network that it could get out of.
      `exec:ip -4 addr show ens3 | grep -q 10.9.8.7/24 && ! timeout 20 bash -c "exec 3<>/dev/tcp/10.9.8.254/${port}"`,
    ];
    let left = probes.length;
    const result = await rehearse(
      {
        root: to.dir,
        state: live.state,
        work,
        probes: probes.map(parseProbe),
        timeout: LIMIT,
        address: undefined,
        megabytes: 512,
        accelerator: 'tcg',
      },
      {
        signal: new AbortController().signal,
        onEvent: (event) => {
          say(`  ${JSON.stringify(event)}`);
          if (event.kind === 'probe') left -= 1;
          if (event.kind === 'cloned' || (event.kind === 'probe' && left === 0))
            hashes.push(hashOfDisk(join(to.dir, '../image')));
        },
        onProgress: () => undefined,
      },
    );
    say(JSON.stringify({ ...result, lastWords: undefined, laid: undefined }));
    if (result.outcome !== 'passed') say((result.lastWords ?? []).join('\n'));
    must(result.outcome === 'passed', `the clone answers: ${result.because ?? `${result.heldSeconds.toFixed(0)} s`}`);
    must(result.betweenRounds === 'yes', 'it is what a whole round left');
    must(hashes.length === 2 && hashes[0] === hashes[1], 'not a byte of the disk changed while the clone ran');
    must(reached === 0, 'nothing of the clone got out');
    must(linesOf(journal) > linesBefore, 'the source went on writing');
    must(machines().length === 0, 'the machine is gone');
    const lines = linesOf(journal);
    await waitFor(() => linesOf(join(to.dir, 'srv/journal')) >= lines, { timeoutMs: 120_000, what: 'the next rounds' });
    must(true, 'what it wrote meanwhile arrives');
    writeFileSync(join(from.dir, 'srv/www/index.html'), NEW_PAGE);
    const arrives = () => readFileSync(join(to.dir, 'srv/www/index.html'), 'utf8') === NEW_PAGE;
    await waitFor(arrives, { timeoutMs: 120_000, what: 'the new page' });
    // Its receiver ends with it: what follows needs none.
    clearInterval(writer);
    await live.endAgent();
    await live[Symbol.asyncDispose]();

    const words = [
      '--root',
      to.dir,
      '--state',
      join(dir, 'state'),
      '--work',
      work,
      '--accelerator',
      'tcg',
      '--memory',
      '512',
    ];
    const killed = await command([...words, '--probe', 'tcp:80'], 'started');
    await waitFor(() => machines().length === 0, { timeoutMs: 30_000, what: 'the end of the machine' });
    const written = spawn('sh', ['-c', 'echo x > "$0" && rm "$0"', join(to.dir, 'written')], { stdio: 'ignore' });
    await Promise.race([once(written, 'exit'), new Promise((resolve) => setTimeout(resolve, 60_000))]);
    must(
      killed.code === null && written.exitCode === 0,
      'killed in the middle, it leaves no machine and nothing frozen',
    );

    const before = await certify(to.dir);
    // So that the one probe can be answered, and the other one has had as long.
    const timeout = Math.ceil((result.system?.seconds ?? 100) * 2 + 60);
    const failed = await command([
      ...words,
      ...['--timeout', String(timeout), '--probe', 'tcp:81', '--probe', `exec:grep -q news /srv/www/index.html`],
    ]);
    const [closed, page] = failed.result?.probes ?? [];
    must(
      failed.code === 6 && failed.result?.outcome === 'failed',
      `a port that nobody answers fails it: exit ${failed.code}`,
    );
    must(closed?.ok === false && page?.ok === true, `told apart: ${JSON.stringify(failed.result?.probes)}`);
    const serial = failed.result?.serial ?? '';
    must(existsSync(serial) && readFileSync(serial, 'latin1').includes('Linux version'), 'the serial log is kept');
    must((await certify(to.dir)) === before, 'every file of the moved system is as it was');
  } finally {
    clearInterval(writer);
    await live[Symbol.asyncDispose]();
  }
} catch (error) {
  wrong.push(error instanceof Error ? (error.stack ?? error.message) : String(error));
} finally {
  outside.close();
  rmSync(dir, { recursive: true, force: true });
}
for (const what of wrong) console.log(`✗ ${what}`);
console.log(wrong.length === 0 ? 'all as it must be' : `${wrong.length} wrong`);
process.exit(wrong.length === 0 ? 0 : 1);
