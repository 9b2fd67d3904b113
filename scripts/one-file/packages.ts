/** The packages with native parts, as far as this platform runs them. All else is bundled. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const MODULES = new URL('../../node_modules/', import.meta.url).pathname;
const PLATFORM = `${process.platform}-${process.arch}`;
const LICENSE = /^(?:LICEN[CS]E|COPYING)/i;

/** By package: the files that are loaded, and those without which they may not be passed on. */
const PACKAGES: readonly (readonly [name: string, isWanted: RegExp])[] = [
  ['koffi', /^(?:package\.json|index\.c?js|src\/koffi\/(?:src\/)?\w+\.c?js)$/],
  [
    `@koromix/koffi-${PLATFORM}`,
    new RegExp(`^(?:package\\.json|index\\.js|${PLATFORM.replace('-', '_')}/koffi\\.node)$`),
  ],
  ['@node-rs/xxhash', /^(?:package\.json|index\.js)$/],
  [`@node-rs/xxhash-${PLATFORM}-gnu`, /^(?:package\.json|.*\.node)$/],
  [
    '@photostructure/sqlite',
    new RegExp(`^(?:package\\.json|dist/index\\.mjs|prebuilds/${PLATFORM}/[^/]*glibc\\.node)$`),
  ],
  ['node-gyp-build', /^(?:package\.json|index\.js|node-gyp-build\.js)$/],
  [
    '@cloudpss/zstd',
    new RegExp(`^(?:package\\.json|dist/(?:napi|common|config)\\.js|prebuilds/${PLATFORM}/[^/]*glibc[^/]*\\.node)$`),
  ],
];

/** What a bundler must leave as imports. */
export const EXTERNAL = PACKAGES.map(([name]) => name);

/** Their files, by the place where Node looks for them. */
export function nativeFiles(): ReadonlyMap<string, Buffer> {
  const files = new Map<string, Buffer>();
  for (const [name, isWanted] of PACKAGES) {
    const dir = join(MODULES, name);
    const found = readdirSync(dir, { recursive: true, encoding: 'utf8' }).filter(
      (path) => isWanted.test(path) || LICENSE.test(path),
    );
    for (const path of found) files.set(`node_modules/${name}/${path}`, readFileSync(join(dir, path)));
  }
  return files;
}
