/** A live move with its cutover: who has the services, what a database keeps, what is told before. */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import pg from 'pg';
import { expect, test } from 'vitest';
import type { CutoverResult, MoveStatus } from '../../../src/routes/relocate/api.ts';
import { mountFresh, must } from '../../files/file-system.ts';
import { Group, LiveMove } from '../../files/live.ts';
import { differences, JUDGE, python, Scratch } from '../../files/move.ts';
import { Sides } from '../../files/sides.ts';
import { pickFreePort } from '../../servers/ports.ts';
import { findBinaries, serverUser, startPostgres } from '../../servers/postgres.ts';
import { waitFor } from '../../servers/wait-for.ts';

interface Failed {
  readonly error: { readonly code: string; readonly message: string };
}

/** Inserts one number after another over each of its connections; knows which were acknowledged. */
class Load {
  readonly acknowledged: number[] = [];
  #running = true;
  #next = 0;
  readonly #workers: Promise<void>[];

  constructor(uri: string, connections: number) {
    this.#workers = Array.from({ length: connections }, () => this.#work(uri));
  }

  async #work(uri: string): Promise<void> {
    const client = new pg.Client({ connectionString: uri, query_timeout: 20_000 });
    client.on('error', () => undefined);
    try {
      await client.connect();
      while (this.#running) {
        this.#next += 1;
        const number = this.#next;
        await client.query('insert into t values ($1, $2)', [number, `row ${number} `.repeat(30)]);
        this.acknowledged.push(number);
      }
    } catch {
      // What was not acknowledged is nobody's.
    } finally {
      void client.end().catch(() => undefined);
    }
  }

  async stop(): Promise<void> {
    this.#running = false;
    await Promise.all(this.#workers);
  }
}

test.each(['frozen', 'stopped in good order'])(
  'a database under load is %s at the cutover: it starts at the target with everything that was acknowledged',
  async (how) => {
    await using source = await mountFresh('ext4', 500);
    await using target = await mountFresh('ext4', 500);
    await using group = new Group(how.slice(0, 4));
    using scratch = new Scratch();
    // PostgreSQL, which is somebody else, goes through them.
    await must('chmod', ['711', scratch.dir, dirname(source.dir), dirname(target.dir)]);
    await python(
      source.dir,
      "os.mkdir('files'); [open('files/%d' % i,'wb').write(os.urandom(3000)) for i in range(300)]",
    );
    await using database = await startPostgres({ data: { dir: join(source.dir, 'data'), password: 'x' } });
    const client = new pg.Client(database.uri);
    await client.connect();
    await client.query('create table t (n bigint primary key, text text)');
    await client.end();
    const postmaster = Number(readFileSync(join(source.dir, 'data/postmaster.pid'), 'utf8').split('\n')[0]);
    group.add(postmaster);

    const bin = await findBinaries();
    const port = await pickFreePort();
    const user = await serverUser();
    const as = user ? `setpriv --reuid=${user.uid} --regid=${user.gid} --clear-groups` : '';
    const found = join(scratch.dir, 'differences');
    const data = join(target.dir, 'data');
    const pgCtl = (dir: string, words: string) => `cd / && ${as} ${bin}/pg_ctl -D ${dir} ${words}`;
    await using move = new LiveMove({
      dir: scratch.dir,
      source: source.dir,
      target: target.dir,
      agent:
        how === 'frozen'
          ? ['--freeze-cgroup', group.dir]
          : ['--stop-command', pgCtl(database.dataDir, '-m fast -w stop'), '--resume-command', 'false'],
      receive: [
        // Another program looks before anything is started. The pid is of another machine, as far as this one knows.
        ...[
          '--start-command',
          `python3 ${JUDGE} compare ${source.dir} ${target.dir} >${found} && rm -f ${data}/postmaster.pid && ${pgCtl(data, `-w -l ${data}/log -o '-c port=${port} -c listen_addresses=127.0.0.1 -k ${data}' start`)}`,
        ],
        ...['--stop-command', pgCtl(data, '-m immediate -w stop')],
      ],
    });
    const load = new Load(database.uri, 6);
    try {
      await move.start();
      await move.until('following');
      await waitFor(() => load.acknowledged.length > 200, { timeoutMs: 60_000, what: 'the load' });
      const { answer } = await move.command<CutoverResult>('cutover', '--yes-stop', 'default');
      expect(answer.outcome, JSON.stringify(answer)).toBe('running');
      expect((JSON.parse(readFileSync(found, 'utf8')) as { differences: string[] }).differences).toEqual([]);
      // What the source still says is said before its processes are ended.
      const told = [...load.acknowledged];
      const there = new pg.Client(`postgres://postgres:x@127.0.0.1:${port}/test`);
      await there.connect();
      const { rows } = await there.query<{ n: string; text: string }>('select n, text from t');
      await there.end();
      const held = new Map(rows.map(({ n, text }) => [Number(n), text]));
      expect(told.length).toBeGreaterThan(200);
      expect(told.filter((n) => held.get(n) !== `row ${n} `.repeat(30))).toEqual([]);
      expect((await move.command<MoveStatus>('commit', '--yes-end', 'default')).answer.phase).toBe('committed');
      expect(load.acknowledged.filter((n) => !held.has(n))).toEqual([]);
      if (how === 'frozen') expect(group.processes).toEqual([]);
    } finally {
      await must('sh', ['-c', pgCtl(data, '-m immediate -w stop')]).catch(() => undefined);
      await load.stop();
    }
  },
);

test('a file that was deleted and is still open is told of, and never made again', async () => {
  await using source = await mountFresh('ext4');
  await using target = await mountFresh('ext4');
  using scratch = new Scratch();
  await python(source.dir, "open('kept','w').write('x')");
  const script = `import os,sys,time
f=open(sys.argv[1]+'/log','w'); f.write('lines'*1000); f.flush(); os.unlink(sys.argv[1]+'/log'); print('ready', flush=True)
while True: f.write('more'); f.flush(); time.sleep(0.01)`;
  const holder = spawn('python3', ['-c', script, source.dir], { stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    await new Promise((resolve) => holder.stdout.once('data', resolve));
    await using move = new LiveMove({
      dir: scratch.dir,
      source: source.dir,
      target: target.dir,
      agent: ['--stop-command', 'true', '--resume-command', 'true'],
      receive: ['--start-command', 'true', '--stop-command', 'true'],
    });
    await move.start();
    await move.until('following');
    const { answer } = await move.command<CutoverResult>('cutover', '--dry-run');
    expect(answer.steps.filter((step) => step.includes('was deleted'))).toEqual([
      expect.stringMatching(new RegExp(`${source.dir}/log \\(\\d+ bytes, open in process ${holder.pid}\\)`)),
    ]);
    expect((await move.command<CutoverResult>('cutover', '--yes-stop', 'default')).answer.outcome).toBe('running');
    expect(await differences(source.dir, target.dir)).toEqual([]);
    expect(await python(target.dir, "print(*sorted(os.listdir('.')))")).toBe('kept lost+found\n');
  } finally {
    holder.kill('SIGKILL');
  }
});

test('back from the target: its services stop, those of the source go on, and the next cutover is proved again', async () => {
  await using source = await mountFresh('ext4');
  await using target = await mountFresh('ext4');
  using scratch = new Scratch();
  await using sides = await Sides.begin(scratch.dir, source.dir, target.dir, 'back');
  await using move = sides.move();
  await move.start();
  await move.until('following');
  const refused = await move.command<Failed>('cutover');
  expect([refused.code, refused.answer.error.code]).toEqual([2, 'GW1005']);
  expect((await move.command<CutoverResult>('cutover', '--yes-stop', 'default')).answer.outcome).toBe('running');
  await sides.seen('new');
  // What the target's services change and take away must not stay for the next one.
  await python(target.dir, "os.unlink('d/7'); open('d/8','w').write('of the target'); os.rmdir('later')");
  expect((await move.command<Failed>('rollback')).answer.error.code).toBe('GW1005');
  const back = await move.command<MoveStatus>('rollback', '--yes-discard', 'default');
  expect([back.answer.phase, back.answer.holds]).toEqual(['following', 'source']);
  await sides.seen('old');
  expect(sides.order()).toEqual(['old', 'new', 'old']);
  await move.until('following');
  const again = await move.command<CutoverResult>('cutover', '--yes-stop', 'default');
  expect(again.answer.outcome, JSON.stringify(again)).toBe('running');
  await sides.seen('new');
  expect(await python(target.dir, "print(open('d/8','rb').read() == b'of the target', os.path.exists('d/7'))")).toBe(
    'False True\n',
  );
  expect((await move.command<MoveStatus>('commit', '--yes-end', 'default')).answer.phase).toBe('committed');
  expect(sides.order()).toEqual(['old', 'new', 'old', 'new']);
});

test('a target whose services do not start: the cutover is undone, and the source goes on', async () => {
  await using source = await mountFresh('ext4');
  await using target = await mountFresh('ext4');
  await using group = new Group('undone');
  using scratch = new Scratch();
  await python(source.dir, "open('f','w').write('x')");
  const resumed = join(scratch.dir, 'resumed');
  await using move = new LiveMove({
    dir: scratch.dir,
    source: source.dir,
    target: target.dir,
    agent: [
      ...['--freeze-cgroup', group.dir, '--stop-command', `sleep 1 && touch ${source.dir}/f`],
      ...['--resume-command', `echo again >>${resumed}`],
    ],
    receive: ['--start-command', 'echo no such disk; false', '--stop-command', 'true'],
  });
  await move.start();
  await move.until('following');
  const failed = await move.command<Failed>('cutover', '--yes-stop', 'default');
  expect([failed.code, failed.answer.error.code]).toEqual([7, 'GW7401']);
  expect(failed.answer.error.message).toMatch(/--start-command of the target failed: it ended with 1/);
  expect(readFileSync(resumed, 'utf8')).toBe('again\n');
  expect(group.isFrozen).toBe(false);
  const status = await move.until('following');
  expect([status.holds, status.turn]).toEqual(['source', 1]);
  expect(status.undone).toMatch(/--start-command/);
});
