/** The clock is set while files are moved: nothing is missed, and nothing is waited for. */
import { spawn } from 'node:child_process';
import { dirname, join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { mountFresh, must } from '../../files/file-system.ts';
import { differences, move, python, Scratch } from '../../files/move.ts';

const HOUR_MS = 3_600_000;

test('the clock jumps back by an hour in the middle of a round: stores into pages that are dirty already are not missed', async () => {
  await using source = await mountFresh('ext4');
  await using target = await mountFresh('ext4');
  await python(
    source.dir,
    "os.mkdir('a'); [open('a/%d' % i,'wb').write(os.urandom(4000)) for i in range(4000)]; open('mapped','wb').write(bytes(40*4096))",
  );
  const stores = `import mmap,sys,time
f=open(sys.argv[1]+'/mapped','r+b'); m=mmap.mmap(f.fileno(),0); i=0
print('ready', flush=True)
while True: m[(i%40)*4096+7]=i%251; i+=1; time.sleep(0.0005)`;
  const writer = spawn('python3', ['-c', stores, source.dir], { stdio: ['ignore', 'pipe', 'inherit'] });
  await new Promise((resolve) => writer.stdout.once('data', resolve));
  // The kernel's clock, which stamps the files, is right all the time; ours is an hour ahead, and is put right.
  const right = Date.now.bind(Date);
  let ahead = HOUR_MS;
  const clock = vi.spyOn(Date, 'now').mockImplementation(() => right() + ahead);
  let rounds = 0;
  let jumpedIn = -1;
  const timer = setInterval(() => {
    if (ahead === 0) return;
    ahead = 0;
    jumpedIn = rounds;
  }, 50);
  try {
    const { result, events } = await move(source.dir, target.dir, {
      rounds: 20,
      onEvent: (event) => {
        if (event.kind === 'round') rounds += 1;
        // The last stores went into pages that were dirty when the file was read: they changed no time.
        if (rounds === 1) writer.kill('SIGKILL');
      },
    });
    expect(jumpedIn).toBe(0);
    expect(result.outcome).toBe('proven');
    // The rounds found everything: no proof had to.
    expect(events.filter((event) => event.kind === 'proof' && !event.equal)).toEqual([]);
    expect(await differences(source.dir, target.dir)).toEqual([]);
  } finally {
    clearInterval(timer);
    clock.mockRestore();
    writer.kill('SIGKILL');
  }
});

test('files from before the clock was set back, with times of the future, are settled like others, and their changes are seen', async () => {
  await using source = await mountFresh('ext4');
  await using target = await mountFresh('ext4');
  using scratch = new Scratch();
  await python(source.dir, "[open('f%d' % i,'wb').write(os.urandom(200000)) for i in range(3)]");
  await must('umount', [source.dir]);
  const image = join(dirname(source.dir), 'image');
  const future = new Date(Date.now() + HOUR_MS).toISOString().replace(/\D/g, '').slice(0, 14);
  for (const name of ['f0', 'f1', 'f2'])
    await must('debugfs', ['-w', '-R', `set_inode_field /${name} ctime ${future}`, image]);
  await must('mount', ['-o', 'loop', image, source.dir]);
  expect(
    await python(
      source.dir,
      "import time; print(all(os.stat('f%d' % i).st_ctime > time.time() + 3000 for i in range(3)))",
    ),
  ).toBe('True\n');
  const first = await move(source.dir, target.dir, {}, scratch);
  expect(first.result.outcome).toBe('proven');
  expect(first.result.rounds.slice(1).map(({ sent }) => sent)).toEqual(first.result.rounds.slice(1).map(() => 0));
  await python(
    source.dir,
    "st=os.stat('f1'); f=open('f1','r+b'); f.seek(100); f.write(b'sneaky'); f.close(); os.utime('f1', ns=(st.st_atime_ns, st.st_mtime_ns))",
  );
  const second = await move(source.dir, target.dir, {}, scratch);
  expect(second.result.outcome).toBe('proven');
  expect(second.result.rounds[0]?.sent).toBe(1);
  expect(await differences(source.dir, target.dir)).toEqual([]);
});
