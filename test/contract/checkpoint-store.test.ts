import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { RunStore } from '../../src/state/index.ts';
import { describeCheckpointStoreContract } from './checkpoint-store.ts';

describeCheckpointStoreContract('RunStore', () => {
  const dir = mkdtempSync(join(tmpdir(), 'godwit-contract-'));
  const opened: RunStore[] = [];
  onTestFinished(() => {
    for (const store of opened) store.close();
    rmSync(dir, { recursive: true, force: true });
  });
  const keep = (store: RunStore) => {
    opened.push(store);
    return store;
  };
  return {
    store: keep(RunStore.create(dir, 'r1', { route: 'migrate', plan: {} })),
    reopened: () => keep(RunStore.open(dir, 'r1')),
    history: (store) => (store as RunStore).events().map(({ kind }) => kind),
  };
});
