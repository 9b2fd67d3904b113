/**
 * `npm run demo`: a shop moves from a cluster that it shares with another
 * business to one of its own, while both go on writing. At the end the demo
 * proves by itself, from what the shop wrote down, that nothing was lost.
 */
import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ReplicaSet } from '../../test/servers/index.ts';
import type { BooksNews, BooksSettings } from './books-app.ts';
import { App, godwit } from './children.ts';
import { openShop, SIZES } from './data.ts';
import { readBooksLog, readReport, readShopLog } from './figures.ts';
import { conclude, type Facts, failed, type Outcome } from './outcome.ts';
import { count, makeStory, type Story } from './print.ts';
import { fingerprint, proveShop } from './proof.ts';
import { addressFor, type Clusters, startClusters } from './servers.ts';
import type { ShopNews, ShopSettings } from './shop-app.ts';

const REPORT_DIR = resolve('report');
const QUIET_MS = 6000;
const AT_HOME_MS = 5000;
/** A demo that hangs tells nothing; this long it never takes. */
const LIMIT_MS = 8 * 60_000;

type Shop = App<ShopNews>;
type Books = App<BooksNews>;

/** What was started, to be ended in any case. */
interface Started {
  readonly sets: ReplicaSet[];
  readonly apps: (Shop | Books)[];
}

interface Scene {
  readonly story: Story;
  readonly signal: AbortSignal;
  readonly started: Started;
  readonly clusters: Clusters;
  /** Holds the shop's config, both applications' logs and Godwit's state. */
  readonly dir: string;
}

const json = process.argv.includes('--json');
process.exitCode = await main();

async function main(): Promise<number> {
  const story = makeStory(json);
  const stop = new AbortController();
  const started: Started = { sets: [], apps: [] };
  let stoppedMs = 0;
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.on(name, () => {
      // One Ctrl-C may come twice, from the terminal and through npm.
      if (stop.signal.aborted && performance.now() - stoppedMs > 1000) process.exit(130);
      stoppedMs ||= performance.now();
      stop.abort(new Error('stopped on request'));
    });
  }
  const limit = setTimeout(() => stop.abort(new Error(`not done after ${LIMIT_MS / 60_000} minutes`)), LIMIT_MS);
  const beganMs = Date.now();
  let outcome: Outcome;
  try {
    const facts = await play(story, started, stop.signal);
    outcome = conclude(story, facts, (Date.now() - beganMs) / 1000);
  } catch (error) {
    outcome = failed(stop.signal.aborted ? stop.signal.reason : error, (Date.now() - beganMs) / 1000);
  } finally {
    clearTimeout(limit);
    await Promise.allSettled(started.apps.map((app) => app.kill()));
    await Promise.allSettled(started.sets.map((set) => set.stop()));
  }
  process.stdout.write(`${json ? JSON.stringify(outcome.object) : outcome.line}\n`);
  return outcome.object.outcome === 'ok' ? 0 : 1;
}

async function play(story: Story, started: Started, signal: AbortSignal): Promise<Facts> {
  story.step('Two clusters');
  const clusters = await startClusters((set) => started.sets.push(set));
  // Inside a server's own directory: it goes when the servers go, whatever happens to this process.
  const dir = join(clusters.old.dir, 'demo');
  mkdirSync(dir);
  const scene: Scene = { story, signal, started, clusters, dir };
  const { version } = await clusters.oldClient.db('admin').command({ buildInfo: 1 });
  story.say(`old: a replica set of three members, new: of one (MongoDB ${version}, both with access control)`);

  const { shop, books, archive, quietFrom } = await openBusinesses(scene);
  const { moved, migrationFrom } = await migrate(scene, shop);
  const verdict = await closeShop(scene, shop, archive);
  await cleanUp(scene);
  story.step('The neighbour');
  await books.stop(signal);
  const left = await clusters.oldClient.db('books').collection('loans').countDocuments();
  story.say(`books closes too; ${count(left)} loans are on the old cluster, where they belong`);
  cpSync(join(dir, '.godwit/shop/report.html'), join(REPORT_DIR, 'report.html'));
  cpSync(join(dir, '.godwit/shop/report.json'), join(REPORT_DIR, 'report.json'));
  return {
    ...verdict,
    moved,
    quiet: { fromMs: quietFrom, toMs: migrationFrom },
    books: readBooksLog(join(dir, 'books.log')),
    report: readReport(join(REPORT_DIR, 'report.json')),
    reportPath: join(REPORT_DIR, 'report.html'),
  };
}

/** Fills the shop, opens both businesses and lets them work in peace for a while. */
async function openBusinesses(scene: Scene): Promise<{ shop: Shop; books: Books; archive: string; quietFrom: number }> {
  const { story, signal, started, clusters, dir } = scene;
  const { oldClient, old } = clusters;
  story.step('Two businesses on the old cluster');
  await openShop(oldClient.db('shop'), signal);
  await oldClient.db('admin').command({ appendOplogNote: 1, data: {}, writeConcern: { w: 3 } });
  const archive = await fingerprint(oldClient.db('shop'), 'archive');
  const { dataSize } = await oldClient.db('shop').stats();
  const total = SIZES.archive + SIZES.customers + SIZES.accounts + SIZES.items;
  story.say(`shop holds ${count(total)} documents, ${count(Number(dataSize) / 1e6)} MB`);

  writeFileSync(
    join(dir, 'shop.env'),
    `# The shop reads this again when it changes.\nDATABASE_URL="${addressFor(old, 'shop')}"\n`,
  );
  const shop: Shop = new App('shop', 'shop-app.ts', {
    config: join(dir, 'shop.env'),
    log: join(dir, 'shop.log'),
    workers: 6,
    opsPerSecond: 150,
  } satisfies ShopSettings);
  started.apps.push(shop);
  const books: Books = new App('books', 'books-app.ts', {
    url: addressFor(old, 'books'),
    log: join(dir, 'books.log'),
    workers: 2,
    opsPerSecond: 50,
  } satisfies BooksSettings);
  started.apps.push(books);
  await Promise.all([shop.until('ready', signal), books.until('ready', signal)]);
  story.say('shop opens: customers, transfers and orders in transactions, about 150 writes/s');
  story.say('books opens: another business with its own user, about 50 writes/s');
  await sleep(1000, undefined, { signal });
  const quietFrom = Date.now();
  await sleep(QUIET_MS, undefined, { signal });
  story.say(`${QUIET_MS / 1000} s in peace, to know how fast books is when nobody moves`);
  return { shop, books, archive, quietFrom };
}

/** The migration, command by command, as a person would type it. */
async function migrate(scene: Scene, shop: Shop): Promise<{ moved: boolean; migrationFrom: number }> {
  const { story, signal, dir } = scene;
  const go = (words: readonly string[]) => godwit(story, placeOf(scene), words, signal);
  const what = ['--run', 'shop', '--include', 'shop', '--with-users', '--entry', 'file:shop.env#DATABASE_URL'];

  story.step('The shop moves, and both go on writing');
  story.say(`GODWIT_FROM and GODWIT_TO hold the two connection strings; here is ${dir}`);
  const migrationFrom = Date.now();
  await go(['check', ...what]);
  await go(['run', ...what, '--until', 'verified']);

  story.step('Cutover: only the shop is fenced, proved, switched');
  await go(['cutover', ...what]);
  const { set } = await shop.until('moved', signal);
  story.good(`the shop read its new address by itself: ${set}`);
  await sleep(AT_HOME_MS, undefined, { signal });
  const home = readShopLog(join(dir, 'shop.log')).filter((write) => write.set === 'new').length;
  story.good(`${AT_HOME_MS / 1000} s later: ${count(home)} writes acknowledged by the new cluster`);

  story.step('Confirm: the way back is closed after one more proof');
  await go(['confirm', ...what]);
  return { moved: set === 'new' && home > 0, migrationFrom };
}

async function closeShop(
  scene: Scene,
  shop: Shop,
  archive: string,
): Promise<Pick<Facts, 'writes' | 'verdict' | 'repeated' | 'givenUp'>> {
  const { story, signal, clusters, dir } = scene;
  story.step("Proof, from the shop's own log");
  const { repeated, givenUp } = await shop.stop(signal);
  const writes = readShopLog(join(dir, 'shop.log'));
  story.say(`the shop closes; it wrote down ${count(writes.length)} acknowledged writes`);
  const verdict = await proveShop(clusters.freshClient.db('shop'), writes, archive);
  const say = (holds: boolean, text: string) => (holds ? story.good(text) : story.bad(text));
  say(verdict.lost === 0, `lost: ${verdict.lost}`);
  say(verdict.doubled === 0, `doubled: ${verdict.doubled}`);
  say(givenUp === 0, `refused for good: ${givenUp} (${count(repeated)} attempts were repeated)`);
  for (const what of verdict.broken) story.bad(what);
  if (verdict.broken.length === 0) {
    story.good(`${count(verdict.orders)} order numbers, each used once; every balance and stock is as the log says`);
    story.good(`${count(SIZES.archive)} archived orders: same fingerprint as before the move`);
  }
  return { writes, verdict, repeated, givenUp };
}

async function cleanUp(scene: Scene): Promise<void> {
  const { story, signal, clusters } = scene;
  story.step('Cleanup: the old cluster forgets the shop');
  await godwit(
    story,
    placeOf(scene),
    ['cleanup', '--run', 'shop', '--include', 'shop', '--yes-delete', 'shop'],
    signal,
  );
  const left = await clusters.oldClient.db('shop').listCollections({}, { nameOnly: true }).toArray();
  const names = left.map(({ name }) => name);
  if (names.length > 0) throw new Error(`the old cluster still has ${names.join(', ')} of the shop`);
  story.good('no collection of the shop is left on the old cluster');
}

function placeOf({ clusters, dir }: Scene) {
  return { cwd: dir, env: { GODWIT_FROM: clusters.old.uri, GODWIT_TO: clusters.fresh.uri } };
}
