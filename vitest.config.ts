import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const globalSetup = './test/servers/global-setup.ts';
const hasSetup = existsSync(fileURLToPath(new URL(globalSetup, import.meta.url)));

/** A slow machine is no failure: how many times as long everything may take there. */
const patience = Number(process.env['GODWIT_PATIENCE'] ?? '1');

/**
 * Tests that start real programs: few files at once, much patience. Those that
 * mostly wait for their servers may be `atOnce` more than there are processors.
 */
function withPrograms(name: string, include: readonly string[], atOnce = 2) {
  return {
    name,
    include: [...include],
    exclude: ['**/node_modules/**', '**/dist/**'],
    testTimeout: 120_000 * patience,
    hookTimeout: 300_000 * patience,
    maxWorkers: atOnce,
  };
}

/**
 * `unit` needs nothing but Node. The others start real programs: `nbd` tools of
 * block devices, `hive` other readers of registry hives, `files` file systems on
 * loop devices, `pg` PostgreSQL, brokers and engines, `mongo` replica sets.
 */
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          include: ['{src,test,scripts,examples}/**/*.test.ts'],
          exclude: ['**/*.{mongo,pg,broker,engine,nbd,hive,files}.test.ts', 'test/integration/**', 'test/e2e/**'],
          // Far more than any needs: these tests share the machine with others and must not fail for being slow.
          testTimeout: 30_000 * patience,
          // The default spares one processor: half of a machine that has two.
          maxWorkers: '100%',
        },
      },
      { test: withPrograms('nbd', ['**/*.nbd.test.ts']) },
      { test: withPrograms('hive', ['**/*.hive.test.ts']) },
      { test: withPrograms('files', ['**/*.files.test.ts'], 3) },
      { test: withPrograms('pg', ['**/*.{pg,broker,engine}.test.ts']) },
      {
        test: {
          ...withPrograms('mongo', ['**/*.mongo.test.ts', 'test/integration/**/*.test.ts', 'test/e2e/**/*.test.ts'], 4),
          exclude: ['**/node_modules/**', '**/dist/**', '**/*.{pg,broker,engine}.test.ts'],
          ...(hasSetup ? { globalSetup: [globalSetup] } : {}),
        },
      },
    ],
  },
});
