import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const globalSetup = './test/servers/global-setup.ts';
const hasSetup = existsSync(fileURLToPath(new URL(globalSetup, import.meta.url)));

/** `unit` needs nothing but Node; `mongo` and `pg` (PostgreSQL, brokers, engines) start real servers, so few files run at once. */
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          include: ['{src,test,scripts,examples}/**/*.test.ts'],
          exclude: ['**/*.{mongo,pg,broker,engine}.test.ts', 'test/integration/**', 'test/e2e/**'],
          // Far more than any needs: these tests share the machine with others and must not fail for being slow.
          testTimeout: 30_000,
        },
      },
      {
        test: {
          name: 'pg',
          include: ['**/*.{pg,broker,engine}.test.ts'],
          exclude: ['**/node_modules/**', '**/dist/**'],
          testTimeout: 120_000,
          hookTimeout: 300_000,
          maxWorkers: 2,
        },
      },
      {
        test: {
          name: 'mongo',
          include: ['**/*.mongo.test.ts', 'test/integration/**/*.test.ts', 'test/e2e/**/*.test.ts'],
          exclude: ['**/node_modules/**', '**/dist/**', '**/*.{pg,broker,engine}.test.ts'],
          testTimeout: 120_000,
          hookTimeout: 300_000,
          maxWorkers: 2,
          ...(hasSetup ? { globalSetup: [globalSetup] } : {}),
        },
      },
    ],
  },
});
