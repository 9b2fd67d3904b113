/** Sources that change while they are copied. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, test } from 'vitest';
import { FILE_SYSTEMS, mountFresh } from '../../files/file-system.ts';
import { differences, move, python, Scratch } from '../../files/move.ts';

/** A Python process that works in a directory until it is told to stop; it says so when it has begun. */
async function writer(root: string, script: string): Promise<AsyncDisposable & { stop(): Promise<void> }> {
  const child = spawn(
    'python3',
    ['-u', '-c', `import os,sys,mmap,time,random,ctypes\nos.chdir(sys.argv[1])\n${script}`, root],
    {
      stdio: ['pipe', 'pipe', 'inherit'],
    },
  );
  const closed = once(child, 'close');
  await once(child.stdout, 'data');
  const stop = async () => {
    child.stdin.end();
    await closed;
  };
  return { stop, [Symbol.asyncDispose]: stop };
}

/** Lines before the loop, and the loop, which goes on until standard input ends. */
const loop = (before: string, each: string) => `
import select
${before}
print('begun')
i = 0
while not select.select([sys.stdin], [], [], 0)[0]:
  i += 1
${each
  .trim()
  .split('\n')
  .map((line) => `  ${line}`)
  .join('\n')}
`;

const TREE = `
for d in range(20):
  os.makedirs('d%02d/in' % d)
  for f in range(50): open('d%02d/f%d' % (d, f), 'wb').write(os.urandom(random.randrange(20000)))
open('big', 'wb').write(os.urandom(8_000_000))
`;

test.each(FILE_SYSTEMS)(
  'a storm of renames: swaps, chains, directories over empty ones, exchanges, on %s',
  async (kind) => {
    await using source = await mountFresh(kind);
    await using target = await mountFresh(kind);
    await python(source.dir, `import random\n${TREE}`);
    await using storm = await writer(
      source.dir,
      loop(
        'libc = ctypes.CDLL(None)',
        `
a, b = random.sample(range(20), 2)
a, b = 'd%02d' % a, 'd%02d' % b
os.rename(a, 'tmp'); os.rename(b, a); os.rename('tmp', b)
os.rename(a + '/f1', b + '/f2') if os.path.exists(a + '/f1') else open(a + '/f1', 'w').write(str(i))
libc.renameat2(-100, (a + '/f3').encode(), -100, (b + '/f4').encode(), 2)
os.rename(a + '/in', b + '/in'); os.makedirs(a + '/in', exist_ok=True)
`,
      ),
    );
    let rounds = 0;
    const { result } = await move(source.dir, target.dir, {
      rounds: 20,
      onEvent: (event) => {
        if (event.kind === 'round') rounds += 1;
        if (rounds === 2) void storm.stop();
      },
    });
    expect(result.outcome).toBe('proven');
    expect(result.rounds.length).toBeGreaterThan(2);
    expect(await differences(source.dir, target.dir)).toEqual([]);
  },
);

test('a subtree that is moved over the frontier of the walk and back is neither lost nor doubled', async () => {
  await using source = await mountFresh('ext4');
  await using target = await mountFresh('ext4');
  await python(source.dir, `import random\n${TREE}\nos.mkdir('a0'); os.mkdir('zz')`);
  await using mover = await writer(
    source.dir,
    loop('', "os.rename('d10', 'a0/d10'); os.rename('a0/d10', 'zz/d10'); os.rename('zz/d10', 'd10')"),
  );
  let rounds = 0;
  const { result } = await move(source.dir, target.dir, {
    rounds: 20,
    onEvent: (event) => {
      if (event.kind === 'round') rounds += 1;
      if (rounds === 2) void mover.stop();
    },
  });
  expect(result.outcome).toBe('proven');
  expect(await differences(source.dir, target.dir)).toEqual([]);
});

test('a file that never stands still is named, and nothing is claimed of it', async () => {
  await using source = await mountFresh('ext4');
  await using target = await mountFresh('ext4');
  await python(source.dir, "open('still','w').write('x'); open('hot','wb').write(os.urandom(4_000_000))");
  await using _writer = await writer(
    source.dir,
    loop("f = open('hot', 'r+b', buffering=0)", 'f.seek(random.randrange(1000) * 4096)\nf.write(os.urandom(4096))'),
  );
  const { result } = await move(source.dir, target.dir, { rounds: 3 });
  expect(result.outcome).toBe('not-proven');
  expect(result.because).toMatch(/changing/);
  expect(result.notes['changing']?.examples).toEqual(['hot']);
  expect(result).not.toHaveProperty('certificate');
});

test.each(FILE_SYSTEMS)(
  'stores into mapped pages without any later write are found by the next round, on %s',
  async (kind) => {
    await using source = await mountFresh(kind);
    await using target = await mountFresh(kind);
    await python(source.dir, "open('mapped','wb').write(bytes(40*4096)); open('quiet','wb').write(bytes(4096))");
    // Stores go on for as long as the first rounds last, into pages that are dirty already, and stop without a word.
    await using store = await writer(
      source.dir,
      loop(
        "f = open('mapped','r+b'); m = mmap.mmap(f.fileno(), 0)",
        'm[(i % 40) * 4096 + 7] = i % 251\ntime.sleep(0.0005)',
      ),
    );
    let rounds = 0;
    const { result } = await move(source.dir, target.dir, {
      rounds: 20,
      onEvent: (event) => {
        if (event.kind === 'round') rounds += 1;
        if (rounds === 3) void store.stop();
      },
    });
    expect(result.outcome).toBe('proven');
    expect(await differences(source.dir, target.dir)).toEqual([]);
  },
);

const LONELY = {
  'direct writes':
    "fd=os.open('f', os.O_RDWR|os.O_DIRECT); m=mmap.mmap(-1, 4096); m.write(b'D'*4096); os.pwrite(fd, m, 8192)",
  'a hole that is punched':
    "import ctypes; fd=os.open('f', os.O_RDWR); ctypes.CDLL(None).fallocate(fd, 3, ctypes.c_long(4096), ctypes.c_long(65536))",
  'space that is allocated': "fd=os.open('f', os.O_RDWR); os.posix_fallocate(fd, 0, 500000)",
  'a copied range':
    "a=os.open('g', os.O_RDONLY); b=os.open('f', os.O_RDWR); os.copy_file_range(a, b, 100000, 0, 50000)",
  'cut off and extended': "os.truncate('f', 5000); os.truncate('f', 200000)",
  'a change of mode and owner only': "os.chmod('f', 0o4711); os.chown('g', 7, 8)",
  'the same length, size and time':
    "st=os.stat('f'); f=open('f','r+b'); f.seek(100); f.write(b'sneaky'); f.close(); os.utime('f', ns=(st.st_atime_ns, st.st_mtime_ns))",
} as const;

test.each(Object.entries(LONELY))('%s between two rounds, alone, are seen', async (_what, script) => {
  await using source = await mountFresh('ext4');
  await using target = await mountFresh('ext4');
  await python(source.dir, "open('f','wb').write(os.urandom(200000)); open('g','wb').write(os.urandom(200000))");
  using scratch = new Scratch();
  expect((await move(source.dir, target.dir, {}, scratch)).result.outcome).toBe('proven');
  await python(source.dir, script);
  expect(await differences(source.dir, target.dir)).not.toEqual([]);
  expect((await move(source.dir, target.dir, {}, scratch)).result.outcome).toBe('proven');
  expect(await differences(source.dir, target.dir)).toEqual([]);
});
