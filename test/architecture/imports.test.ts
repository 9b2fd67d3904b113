/**
 * The house's one-way dependencies hold: the linter refuses a planted import
 * against them, edge by edge, and finds none in the real tree.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const BIOME = join(ROOT, 'node_modules/.bin/biome');

const FORBIDDEN = [
  ['src/kernel/planted.ts', '../state/index.ts'],
  ['src/kernel/planted.ts', '../adapters/mongodb/cluster.ts'],
  ['src/kernel/planted.ts', 'mongodb'],
  ['src/kernel/planted.ts', 'node:fs'],
  ['src/kernel/deep/planted.ts', '../../routes/migrate/api.ts'],
  ['src/state/planted.ts', '../routes/migrate/api.ts'],
  ['src/state/spool/planted.ts', '../../adapters/mongodb/cluster.ts'],
  ['src/state/planted.ts', 'bson'],
  ['src/adapters/mongodb/planted.ts', '../postgres/index.ts'],
  ['src/adapters/mongodb/wire/planted.ts', '../../postgres/index.ts'],
  ['src/adapters/mongodb/planted.ts', '../../state/index.ts'],
  ['src/adapters/mongodb/planted.ts', '../../entries/file/index.ts'],
  ['src/adapters/mongodb/planted.ts', '../../routes/migrate/api.ts'],
  ['src/entries/file/planted.ts', '../webhook/index.ts'],
  ['src/entries/file/planted.ts', '../../adapters/mongodb/cluster.ts'],
  ['src/routes/migrate/planted.ts', '../remodel/index.ts'],
  ['src/routes/migrate/report/planted.ts', '../../remodel/index.ts'],
  ['src/routes/migrate/planted.ts', '../../cli/main.ts'],
  ['src/routes/migrate/planted.ts', '../../server/http.ts'],
  ['src/server/planted.ts', '../adapters/mongodb/cluster.ts'],
  ['src/server/planted.ts', '../routes/migrate/index.ts'],
  ['src/server/planted.ts', '../cli/main.ts'],
  ['src/planted.ts', './cli/main.ts'],
] as const;

const ALLOWED = [
  ['src/kernel/planted.ts', './errors.ts'],
  ['src/kernel/deep/planted.ts', '../errors.ts'],
  ['src/state/spool/planted.ts', '../../kernel/errors.ts'],
  ['src/adapters/mongodb/wire/planted.ts', '../../../kernel/errors.ts'],
  ['src/adapters/mongodb/wire/planted.ts', '../cluster.ts'],
  ['src/adapters/mongodb/planted.ts', 'mongodb'],
  ['src/entries/file/planted.ts', '../../kernel/ports.ts'],
  ['src/routes/migrate/planted.ts', '../../state/index.ts'],
  ['src/routes/migrate/report/planted.ts', '../../../adapters/mongodb/cluster.ts'],
  ['src/routes/migrate/report/planted.ts', '../api.ts'],
  ['src/server/planted.ts', '../routes/migrate/api.ts'],
  ['src/cli/planted.ts', '../routes/migrate/index.ts'],
  ['src/planted.ts', './routes/migrate/index.ts'],
] as const;

interface Diagnostic {
  readonly category: string;
  readonly location: { readonly path: string | { readonly file: string } };
}

/** Rules broken under a folder, as `file rule`. */
function lint(folder: string, rule: string): readonly string[] {
  const args = ['lint', '--reporter=json', '--max-diagnostics=none', '.'];
  const { stdout, stderr } = spawnSync(BIOME, args, { cwd: folder, encoding: 'utf8', maxBuffer: 1 << 26 });
  expect(stdout, stderr).toContain('"diagnostics"');
  const { diagnostics } = JSON.parse(stdout) as { diagnostics: readonly Diagnostic[] };
  // Only what lint rules say: a copied biome.json has no schema beside it, which is remarked on too.
  return diagnostics
    .filter(({ category }) => category.startsWith('lint/'))
    .map(({ category, location }) => {
      const path = typeof location.path === 'string' ? location.path : location.path.file;
      return `${path} ${category.split('/').at(-1)}`;
    })
    .filter((broken) => broken.endsWith(` ${rule}`));
}

let copy = '';
beforeAll(() => {
  copy = mkdtempSync(join(tmpdir(), 'godwit-imports-'));
  cpSync(join(ROOT, 'biome.json'), join(copy, 'biome.json'));
});
afterAll(() => rmSync(copy, { recursive: true, force: true }));

function plant(file: string, text: string): string {
  mkdirSync(dirname(join(copy, file)), { recursive: true });
  writeFileSync(join(copy, file), text);
  return file;
}

test('the linter catches every import against the house, and no other', () => {
  const name = (file: string, index: number, kind: string) => file.replace('planted', `${kind}${index}`);
  FORBIDDEN.forEach(([file, to], index) => {
    plant(name(file, index, 'static'), `import { a } from '${to}';\nexport const b = a;\n`);
    plant(name(file, index, 'type'), `import type { A } from '${to}';\nexport type B = A;\n`);
    plant(name(file, index, 'dynamic'), `export const a = () => import('${to}');\n`);
    plant(name(file, index, 'again'), `export { a } from '${to}';\n`);
  });
  ALLOWED.forEach(([file, to], index) => {
    plant(name(file, index, 'fine'), `import { a } from '${to}';\nexport const b = a;\n`);
  });
  const expected = FORBIDDEN.flatMap(([file], index) =>
    ['static', 'type', 'dynamic', 'again'].map((kind) => `${name(file, index, kind)} noRestrictedImports`),
  );
  expect(new Set(lint(copy, 'noRestrictedImports'))).toEqual(new Set(expected));
});

test('the linter catches printing outside cli', () => {
  plant('src/state/prints.ts', "console.log('x');\n");
  plant('src/cli/prints.ts', "console.log('x');\n");
  expect(lint(copy, 'noConsole')).toEqual(['src/state/prints.ts noConsole']);
});

test('the real tree has no import against the house and prints nowhere else', () => {
  expect(lint(join(ROOT, 'src'), 'noRestrictedImports')).toEqual([]);
  expect(lint(join(ROOT, 'src'), 'noConsole')).toEqual([]);
});

test('only programs exit, and only test code may be deeper than the rules reach', () => {
  const sources = readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' }).filter((path) =>
    path.endsWith('.ts'),
  );
  const exits = sources.filter((path) =>
    /\bprocess\s*\.\s*(exit\b|exitCode\b|kill\b|abort\b)/.test(readFileSync(join(ROOT, 'src', path), 'utf8')),
  );
  // A failpoint ends the process as SIGKILL would: that is its purpose. Spark, and commands of services, are ended
  // with the group that they started.
  // A watchdog and fixtures are programs of their own; tests kill those.
  const mayExit = [
    'cli/own-process.ts',
    'kernel/failpoint.ts',
    'adapters/spark/submit.ts',
    'routes/relocate/shell.ts',
    'adapters/mongodb/freeze/watchdog.ts',
  ];
  expect(exits.filter((path) => !mayExit.includes(path) && !/\.(fixture|test)\.ts$/.test(path))).toEqual([]);
  const rooms = { kernel: 1, state: 1, server: 1, adapters: 2, entries: 2, routes: 2 } as const;
  const tooDeep = sources.filter((path) => {
    const parts = path.split('/');
    const own = rooms[parts[0] as keyof typeof rooms];
    return own !== undefined && parts.length - 1 - own > 2;
  });
  expect(tooDeep, 'add a depth to biome.json').toEqual([]);
});
