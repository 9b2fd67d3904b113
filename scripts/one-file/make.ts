/** Makes the one file: Node itself, with a loader, the bundled command and the native parts in it. */
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { build } from 'esbuild';
import { inject } from 'postject';
import { CONTENTS, type Contents, glibcNeeds, hashOf, isOlder } from './contents.ts';
import { EXTERNAL, nativeFiles } from './packages.ts';

/** Node looks for it to know whether something was put into it. */
const FUSE = 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2';
const ROOT = new URL('../../', import.meta.url).pathname;

/** Native parts are loaded first: one that cannot be is told of before anything is done. */
const START = `'use strict';
for (const name of ['koffi', '@node-rs/xxhash']) require(name);
require('node-gyp-build')(require('node:path').dirname(require.resolve('@photostructure/sqlite/package.json')));
require('node-gyp-build')(require('node:path').dirname(require.resolve('@cloudpss/zstd/package.json')));
import('./dist/cli/main.js');
`;

export interface MakeOptions {
  readonly out: string;
  /** Asks for another C library than the parts do: tests show with it what becomes of a system that is too old. */
  readonly glibc?: string;
}

export async function makeOneFile({ out, glibc }: MakeOptions): Promise<Contents> {
  mustBeWhole();
  const work = mkdtempSync(join(tmpdir(), 'godwit-one-file-'));
  try {
    const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string };
    const files = new Map([
      ...nativeFiles(),
      ['package.json', Buffer.from(JSON.stringify({ name: 'godwit', version, type: 'module' }))] as const,
      ['start.cjs', Buffer.from(START)] as const,
      ['dist/cli/main.js', await bundle('src/cli/one-file.ts', 'esm')] as const,
    ]);
    const natives = [...files].filter(([name]) => name.endsWith('.node')).map(([, bytes]) => bytes);
    if (natives.length !== 4) throw new Error(`${natives.length} native parts were found, not 4: run npm ci`);
    const needed = [readFileSync(process.execPath), ...natives]
      .map(glibcNeeds)
      .reduce((newest, one) => (isOlder(newest, one) ? one : newest));
    const contents: Contents = { version, hash: hashOf(files), glibc: glibc ?? needed, files: [...files.keys()] };
    const assets: Record<string, string> = {};
    for (const [name, bytes] of [...files, [CONTENTS, Buffer.from(JSON.stringify(contents))] as const]) {
      const path = join(work, 'assets', name);
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, bytes);
      assets[name] = path;
    }
    writeFileSync(join(work, 'loader.cjs'), await bundle('scripts/one-file/loader.ts', 'cjs'));
    const blob = join(work, 'blob');
    const config = { main: join(work, 'loader.cjs'), output: blob, disableExperimentalSEAWarning: true, assets };
    writeFileSync(join(work, 'config.json'), JSON.stringify(config));
    const made = spawnSync(process.execPath, ['--experimental-sea-config', join(work, 'config.json')]);
    if (made.status !== 0) throw new Error(`node --experimental-sea-config: ${made.stderr}`);
    mkdirSync(dirname(out), { recursive: true });
    const part = `${out}.part`;
    copyFileSync(process.execPath, part);
    chmodSync(part, 0o755);
    await inject(part, 'NODE_SEA_BLOB', readFileSync(blob), { sentinelFuse: FUSE });
    renameSync(part, out);
    return contents;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** A Node that needs libraries of its own would not run elsewhere. */
function mustBeWhole(): void {
  if (process.platform !== 'linux') throw new Error('the one file is made on Linux, for the processor it is made on');
  const shared = Object.entries(process.config.variables).filter(
    ([name, value]) => /^node_shared(?:_|$)/.test(name) && (value as unknown) === true,
  );
  if (shared.length > 0)
    throw new Error(
      `${process.execPath} needs libraries of its distribution (${shared.map(([name]) => name).join(', ')}); make the one file with a Node from nodejs.org`,
    );
}

async function bundle(entry: string, format: 'esm' | 'cjs'): Promise<Buffer> {
  const { outputFiles } = await build({
    entryPoints: [join(ROOT, entry)],
    bundle: true,
    write: false,
    platform: 'node',
    target: 'node20',
    format,
    external: EXTERNAL,
    logLevel: 'warning',
    // Parts that were written as CommonJS ask for Node's own modules by require.
    ...(format === 'esm'
      ? { banner: { js: "import { createRequire as cjs } from 'node:module'; const require = cjs(import.meta.url);" } }
      : {}),
  });
  const [file] = outputFiles;
  if (file === undefined) throw new Error(`${entry} was not bundled`);
  return Buffer.from(file.contents);
}
