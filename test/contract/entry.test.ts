import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { openFileEntry } from '../../src/entries/file/index.ts';
import { openWebhookEntry } from '../../src/entries/webhook/index.ts';
import { describeEntryContract } from './entry.ts';

const FROM = { hosts: ['old:1'], setName: 'old' };
const TO = { hosts: ['new:1', 'new:2'], setName: 'new' };

/** Memory as a run keeps it: JSON. */
function jsonMemory() {
  const values = new Map<string, string>();
  return {
    get: <T>(key: string): T | undefined => (values.has(key) ? (JSON.parse(values.get(key)!) as T) : undefined),
    set: (key: string, value: unknown) => void values.set(key, JSON.stringify(value)),
  };
}

const FILES = {
  'app.json': { key: 'db.uri', text: '{"db": {"uri": "mongodb://u:p@old:1/shop?replicaSet=old"}}\n' },
  'app.yaml': { key: 'db.uri', text: 'db:\n  uri: mongodb://u:p@old:1/shop?replicaSet=old # here\n' },
  '.env': { key: 'DATABASE_URL', text: 'DATABASE_URL="mongodb://u:p@old:1/shop?replicaSet=old"\n' },
};

for (const [name, { key, text }] of Object.entries(FILES)) {
  describeEntryContract(`file ${name}`, async () => {
    const dir = await mkdtemp(join(tmpdir(), 'godwit-contract-'));
    onTestFinished(() => rm(dir, { recursive: true, force: true }));
    const path = join(dir, name);
    await writeFile(path, text);
    const memory = jsonMemory();
    return {
      open: () => openFileEntry({ path, key }, { targetAddress: TO, memory }),
      where: async () => {
        const now = await readFile(path, 'utf8');
        if (now === text) return 'source';
        if (now.includes('u:p@new:1,new:2/shop?replicaSet=new')) return 'target';
        throw new Error(`The file holds neither: ${now}`);
      },
      break: () => rm(path),
    };
  });
}

describeEntryContract('webhook', async () => {
  let sentTo = 'old';
  const seen = new Set<string>();
  let broken = false;
  const server = createServer(async (request, response) => {
    let text = '';
    for await (const part of request) text += part;
    const { action, to, idempotencyKey } = JSON.parse(text);
    if (broken) response.statusCode = 400;
    // A receiver that does as the documentation says: a key it knows is a repeat.
    else if (action !== 'check' && !seen.has(idempotencyKey)) {
      seen.add(idempotencyKey);
      sentTo = to.setName;
    }
    response.end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const memory = jsonMemory();
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`;
  return {
    open: () => openWebhookEntry({ url, timeoutSeconds: 5 }, { run: 'r1', from: FROM, to: TO, memory }),
    where: async () => (sentTo === 'old' ? 'source' : 'target'),
    break: async () => {
      broken = true;
    },
  };
});
