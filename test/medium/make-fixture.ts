/**
 * Makes test/medium/fixtures/ with the real mongodump and mongorestore:
 *
 *   GODWIT_PEERS=/path/to/tools npx tsx test/medium/make-fixture.ts
 *
 * `dump…` are four dumps of a small business that was written to meanwhile (folder, gzip, archive, gzip archive);
 * `expected` is what mongorestore --oplogReplay makes of the first, dumped once more.
 */
import { execFile } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { startReplicaSet } from '../servers/index.ts';
import { findTool } from '../tools/find-tool.ts';
import { fillBusiness } from './world.ts';

const FIXTURES = fileURLToPath(new URL('fixtures', import.meta.url));
const DB = 'shop';

/** Not in the way of the writer, which writes while a dump is made. */
async function call(tool: 'mongodump' | 'mongorestore', args: readonly string[]): Promise<void> {
  await promisify(execFile)(findTool(tool), args, { maxBuffer: 1 << 26 });
}

const work = mkdtempSync(join(tmpdir(), 'godwit-fixture-'));
const source = await startReplicaSet({ name: 'source' });
const target = await startReplicaSet({ name: 'target' });
try {
  const client = await source.client();
  await fillBusiness(client, DB, 60);
  const things = client.db(DB).collection('things');
  let busy = true;
  const writing = (async () => {
    for (let n = 0; busy; n += 1) {
      await things.insertOne({ _id: `during-${n}` as never, n });
      await things.updateMany({ a: { $lt: 100 } }, { $set: { during: n }, $push: { arr: n } as never });
      await things.deleteOne({ _id: `during-${n - 3}` as never });
      await client
        .db(DB)
        .collection('series')
        .insertOne({ at: new Date(), m: n % 3, v: n });
    }
  })();
  for (const [name, args] of [
    ['dump', ['--out', join(work, 'dump')]],
    ['dump-gzip', ['--gzip', '--out', join(work, 'dump-gzip')]],
    ['dump.archive', [`--archive=${join(work, 'dump.archive')}`]],
    ['dump.archive.gz', ['--gzip', `--archive=${join(work, 'dump.archive.gz')}`]],
  ] as const) {
    await call('mongodump', ['--uri', source.uri, '--oplog', ...args]);
    process.stdout.write(`${name} is made\n`);
  }
  busy = false;
  await writing;
  for (const name of ['dump', 'dump-gzip', 'dump.archive', 'dump.archive.gz']) {
    await (await target.client()).db(DB).dropDatabase();
    const archive = name.includes('archive');
    const place = archive ? `--archive=${join(work, name)}` : `--dir=${join(work, name)}`;
    const gzip = name.includes('gz') ? ['--gzip'] : [];
    await call('mongorestore', ['--uri', target.uri, '--oplogReplay', place, ...gzip]);
    await call('mongodump', ['--uri', target.uri, '--db', DB, '--gzip', '--out', join(work, `expected-${name}`)]);
  }
  rmSync(FIXTURES, { recursive: true, force: true });
  cpSync(work, FIXTURES, { recursive: true });
} finally {
  await Promise.all([source.stop(), target.stop()]);
  rmSync(work, { recursive: true, force: true });
}
