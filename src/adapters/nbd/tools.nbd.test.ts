/** The real programs against the server: what they copy, verify and ask for. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, expect, onTestFinished, test } from 'vitest';
import { type BlockTool, findBlockTool } from '../../../test/servers/block-tools.ts';
import { createCertificates } from '../../../test/servers/certificates.ts';
import { runCommand } from '../../../test/servers/run-command.ts';
import { FileVolume } from './file-volume.ts';
import { type NbdServer, type NbdServerOptions, serveNbd } from './server.ts';

const SIZE = 48 << 20;
/** Noise, so that no two sectors are alike. */
const CONTENT = Buffer.alloc(SIZE);

beforeAll(async () => {
  for (const tool of ['nbdinfo', 'qemu-io', 'fio'] as const) await findBlockTool(tool);
  for (let i = 0, state = 1; i < SIZE; i += 4) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
    CONTENT.writeInt32LE(state, i);
  }
});

interface World {
  readonly dir: string;
  readonly image: string;
  readonly volume: FileVolume;
  readonly server: NbdServer;
  readonly uri: string;
}

/** A server with the default export, the read-only one `ro`, both of one file, and `extra`. */
async function serve(content: Buffer, options: Partial<NbdServerOptions> = {}): Promise<World> {
  const dir = mkdtempSync(join(tmpdir(), 'godwit-nbd-'));
  const image = join(dir, 'image');
  writeFileSync(image, content);
  const volume = await FileVolume.open(image);
  const failures: unknown[] = [];
  const server = await serveNbd({
    address: { path: join(dir, 'socket') },
    exports: [
      { name: '', volume, description: 'the whole of it' },
      { name: 'ro', volume, readOnly: true },
    ],
    onFailure: (error) => failures.push(error),
    ...options,
  });
  onTestFinished(async () => {
    await server.close();
    await volume.close();
    rmSync(dir, { recursive: true });
    expect(failures).toEqual([]);
  });
  const { address } = server;
  const uri = 'path' in address ? `nbd+unix:///?socket=${address.path}` : `nbd://127.0.0.1:${address.port}/`;
  return { dir, image, volume, server, uri };
}

async function tool(name: BlockTool, args: readonly string[]): Promise<string> {
  const result = await runCommand(await findBlockTool(name), args, { env: { ...process.env, LC_ALL: 'C' } });
  if (result.code !== 0) throw new Error(`${name} ${args.join(' ')} ended with ${result.code}: ${result.stderr}`);
  return result.stdout + result.stderr;
}

test('nbdinfo sees every export and what it can do', async () => {
  const { uri, server } = await serve(CONTENT);
  const info = JSON.parse(await tool('nbdinfo', ['--json', uri]));
  expect(info).toMatchObject({ protocol: 'newstyle-fixed', TLS: false, structured: true });
  expect(info.exports[0]).toMatchObject({
    'export-size': SIZE,
    description: 'the whole of it',
    contexts: ['base:allocation'],
    is_read_only: false,
    can_df: true,
    can_fast_zero: true,
    can_flush: true,
    can_fua: true,
    can_multi_conn: true,
    can_trim: true,
    can_zero: true,
    can_cache: false,
    block_size_minimum: 1,
    block_size_preferred: 4096,
    block_size_maximum: 32 << 20,
  });
  const list = JSON.parse(await tool('nbdinfo', ['--json', '--list', uri]));
  expect(list.exports.map((each: { 'export-name': string }) => each['export-name'])).toEqual(['', 'ro']);
  const readOnly = JSON.parse(await tool('nbdinfo', ['--json', uri.replace('///?', '///ro?')]));
  expect(readOnly.exports[0]).toMatchObject({ is_read_only: true, can_trim: false, can_zero: false });
  const map = JSON.parse(await tool('nbdinfo', ['--json', '--map', uri]));
  expect(map).toEqual([expect.objectContaining({ offset: 0, length: SIZE, type: 0 })]);
  await expect(tool('nbdinfo', [uri.replace('///?', '///nobody?')])).rejects.toThrow(/nobody|No such file/i);
  expect(server.connections).toBeLessThanOrEqual(1); // the last one may still be closing
});

test.each([['unix'], ['tcp']])(
  'nbdcopy copies both ways, byte for byte, over several connections (%s)',
  async (kind) => {
    const address = kind === 'tcp' ? { address: { host: '127.0.0.1', port: 0 } } : {};
    const { dir, uri, image } = await serve(CONTENT, address);
    const out = join(dir, 'out');
    await tool('nbdcopy', ['--connections=4', '--requests=64', uri, out]);
    expect(readFileSync(out).equals(CONTENT)).toBe(true);
    // Back, changed, and with holes in it, which become zeroes.
    const changed = Buffer.from(CONTENT);
    changed.fill(0, 1 << 20, 9 << 20);
    changed.fill('x', 33 << 20);
    writeFileSync(out, changed);
    await tool('nbdcopy', ['--connections=4', '--flush', out, uri]);
    expect(readFileSync(image).equals(changed)).toBe(true);
  },
);

test('qemu-io: FUA, flush, discard, zeroes, unaligned, long', async () => {
  const { uri, image, volume } = await serve(Buffer.alloc(SIZE, 1));
  const run = (...commands: string[]) =>
    tool('qemu-io', ['-f', 'raw', '-t', 'none', ...commands.flatMap((each) => ['-c', each]), uri]);
  const syncs = volume.syncs;
  await run('write -f -P 2 4k 4k');
  expect(volume.syncs).toBeGreaterThan(syncs);
  await run(
    'write -P 3 1M 32M',
    'flush',
    'write -z 2M 1M',
    'write -z -u 4M 64k',
    'write -z -f 5M 4k',
    'discard 6M 64k',
  );
  await run('write -P 4 4097 511', 'read -P 2 4k 1', 'read -P 4 4097 511', 'read -P 3 1M 1M', 'read -P 0 2M 1M');
  await run('aio_write -P 9 40M 1M', 'aio_write -P 8 41M 1M', 'aio_flush', 'read -P 9 40M 1M', 'read -P 8 41M 1M');
  const bytes = readFileSync(image);
  const expected = Buffer.alloc(SIZE, 1);
  expected
    .fill(2, 4096, 8192)
    .fill(3, 1 << 20, 33 << 20)
    .fill(0, 2 << 20, 3 << 20);
  expected
    .fill(0, 4 << 20, (4 << 20) + 65_536)
    .fill(0, 5 << 20, (5 << 20) + 4096)
    .fill(4, 4097, 4608);
  expected.fill(9, 40 << 20, 41 << 20).fill(8, 41 << 20, 42 << 20);
  expect(bytes.equals(expected)).toBe(true);
  await expect(run('write -P 1 4k 4k', 'read -P 7 4k 4k'), 'qemu-io really looks').rejects.toThrow(/ended with 1/);
});

test('qemu-img converts to and from it and finds both equal', async () => {
  const { uri, dir } = await serve(CONTENT);
  const qcow = join(dir, 'out.qcow2');
  await tool('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', uri, qcow]);
  expect(await tool('qemu-img', ['compare', '-f', 'raw', '-F', 'qcow2', uri, qcow])).toContain('identical');
  await tool('qemu-img', ['convert', '-n', '-f', 'qcow2', '-O', 'raw', qcow, uri]);
  expect(await tool('qemu-img', ['compare', '-f', 'raw', '-F', 'qcow2', uri, qcow])).toContain('identical');
});

test.each([
  ['randrw', '4k', '32'],
  ['randwrite', '512-96k', '64'],
  ['write', '1m', '8'],
])('fio finds what it wrote (%s, blocks of %s, %s at a time)', async (rw, blocks, depth) => {
  const { uri } = await serve(Buffer.alloc(SIZE));
  const args = ['--name=verify', '--ioengine=nbd', `--uri=${uri}`, `--rw=${rw}`, '--output-format=json'];
  const how = [
    '--size=32m',
    `--iodepth=${depth}`,
    '--verify=crc32c',
    '--verify_fatal=1',
    '--fsync=64',
    '--do_verify=1',
    '--verify_state_save=0',
  ];
  const shape = blocks.includes('-') ? [`--bsrange=${blocks}`, '--blockalign=512'] : [`--bs=${blocks}`];
  const output = await tool('fio', [...args, ...shape, ...how]);
  const [job] = JSON.parse(output.slice(output.indexOf('{'), output.lastIndexOf('}') + 1)).jobs;
  expect(job.error).toBe(0);
  expect(job.write.total_ios).toBeGreaterThan(0);
  expect(job.read.total_ios, 'verified').toBeGreaterThan(0);
});

test('TLS with certificates of both sides; without them nobody gets in', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'godwit-nbd-tls-'));
  onTestFinished(() => rmSync(dir, { recursive: true }));
  const made = await createCertificates(dir);
  const [ca, server, client] = [made.caFile, made.serverCertKeyFile, made.clientCertKeyFile].map((file) =>
    readFileSync(file, 'utf8'),
  );
  const { uri } = await serve(CONTENT, {
    address: { host: '127.0.0.1', port: 0 },
    tls: { cert: server!, key: server!, clientCa: ca! },
  });
  // GnuTLS' names, as libnbd wants them in one directory.
  const named = (folder: string, files: Readonly<Record<string, string>>) => {
    const path = mkdtempSync(join(dir, folder));
    for (const [file, text] of Object.entries(files)) writeFileSync(join(path, file), text);
    return path;
  };
  const good = named('good', { 'ca-cert.pem': ca!, 'client-cert.pem': client!, 'client-key.pem': client! });
  const bare = named('bare', { 'ca-cert.pem': ca! });
  const secure = (certificates: string) => `${uri.replace('nbd:', 'nbds:')}?tls-certificates=${certificates}`;
  expect(JSON.parse(await tool('nbdinfo', ['--json', secure(good)]))).toMatchObject({ TLS: true, structured: true });
  const out = join(dir, 'out');
  await tool('nbdcopy', ['--connections=2', secure(good), out]);
  expect(readFileSync(out).equals(CONTENT)).toBe(true);
  await expect(tool('nbdinfo', ['--json', uri])).rejects.toThrow(/ended with/);
  await expect(tool('nbdinfo', ['--json', secure(bare)])).rejects.toThrow(/ended with/);
});
