/** Rounds that are told of changes, and what tells them. No proof mends anything here. */
import { closeSync, mkdirSync, openSync, readFileSync, truncateSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Capture, closeRoots, openRoots } from '../../../src/adapters/linux-files/index.ts';
import { CapturedCopy } from '../../files/captured-copy.ts';
import { FILE_SYSTEMS, mountFresh } from '../../files/file-system.ts';
import { Operator } from '../../files/model.ts';
import { differences, python } from '../../files/move.ts';
import { waitFor } from '../../servers/wait-for.ts';

test.each(FILE_SYSTEMS)(
  'a store into a mapped page, which no event tells, is told by the trace, on %s',
  async (kind) => {
    await using source = await mountFresh(kind);
    await using target = await mountFresh(kind);
    writeFileSync(join(source.dir, 'mapped'), Buffer.alloc(64 * 4096, 1));
    await using operator = new Operator(source.dir);
    // It maps the file before anything listens, and only stores from then on.
    await operator.map('mapped');
    for (const trace of [true, false]) {
      const to = join(target.dir, `${trace}`);
      await using copy = await CapturedCopy.begin(source.dir, to, { trace });
      await copy.settle();
      await operator.store(5 * 4096 + 7, trace ? 77 : 78);
      const rounds = await copy.settle();
      const found = await differences(source.dir, to);
      // The control: with events alone the store is missed, so it is the trace that sees it.
      if (trace) {
        expect(found).toEqual([]);
        expect(rounds.reduce((sum, { sentBytes }) => sum + sentBytes, 0)).toBe(4096);
      } else expect(found.join()).toMatch(/^mapped: content/);
      expect(rounds.every(({ everything }) => everything === undefined)).toBe(true);
    }
  },
);

test.each(FILE_SYSTEMS)('one dirty page in a large folio costs this page, on %s', async (kind) => {
  await using source = await mountFresh(kind);
  await using target = await mountFresh(kind);
  const file = join(source.dir, 'large');
  await python(source.dir, "open('large','wb').write(os.urandom(8 << 20))");
  await using copy = await CapturedCopy.begin(source.dir, target.dir);
  await copy.settle();
  // Read ahead in one go, it is cached in large folios where the file system has them.
  readFileSync(file);
  const fd = openSync(file, 'r+');
  writeSync(fd, Buffer.alloc(4096, 9), 0, 4096, 37 * 4096);
  closeSync(fd);
  const rounds = await copy.settle();
  expect(rounds.reduce((sum, { sentBytes }) => sum + sentBytes, 0)).toBe(4096);
  expect(await differences(source.dir, target.dir)).toEqual([]);
});

test.each(FILE_SYSTEMS)(
  'of a large file only the pages that the trace names are read and sent, on %s',
  async (kind) => {
    await using source = await mountFresh(kind, 700);
    await using target = await mountFresh(kind, 700);
    const megabytes = 200;
    // As a database writes it, page by page: what is written, or read ahead, in one go may be one folio of up to 2 MiB.
    // Before it others, so that it has not the same inode as on the target, whose pages are traced, too.
    const written =
      "[os.mkdir('d%d' % i) for i in range(9)]; f = open('large','wb', buffering=0); b = os.urandom(1 << 20)";
    await python(source.dir, `${written}\nfor i in range(${megabytes} * 256): f.write(b[i % 256 * 4096:][:4096])`);
    await using copy = await CapturedCopy.begin(source.dir, target.dir);
    await copy.settle();
    copy.takeWireBytes();
    await python(
      source.dir,
      `
import random
r = random.Random(3); fd = os.open('large', os.O_RDWR); m = mmap.mmap(fd, 0)
for page in r.sample(range(${megabytes} * 256), 200):
  if page % 3 == 0: m[page * 4096:page * 4096 + 8] = os.urandom(8)
  else: os.pwrite(fd, os.urandom(4096), page * 4096)
`,
    );
    const before = bytesRead();
    const rounds = await copy.settle();
    const read = bytesRead() - before;
    expect(rounds.every(({ everything }) => everything === undefined)).toBe(true);
    expect(rounds.reduce((sum, { sentBytes }) => sum + sentBytes, 0)).toBe(200 * 4096);
    expect(copy.takeWireBytes()).toBeLessThan(1.2 * 200 * 4096);
    // Both sides are in this process. On btrfs nobody tells of a reflink, so both read all of it: the control. Elsewhere a page
    // costs the reading of its folio, whose size the kernel chooses, up to 2 MiB.
    if (kind === 'btrfs') expect(read).toBeGreaterThan(2 * megabytes * 1e6);
    else expect(read).toBeLessThan(megabytes * 1e6);
    expect(await differences(source.dir, target.dir)).toEqual([]);
  },
);

/** What this process has asked files and sockets for so far. */
function bytesRead(): number {
  return Number(/rchar: (\d+)/.exec(readFileSync('/proc/self/io', 'utf8'))?.[1]);
}

test.each(FILE_SYSTEMS)(
  'what changes a content and makes no page dirty is found beside pages that are, on %s',
  async (kind) => {
    await using source = await mountFresh(kind);
    await using target = await mountFresh(kind);
    // Each of them keeps the size of its file, and is followed by a write to another page.
    const ways = {
      collapse: 'fallocate(fd, 8, 1 << 20, 65536); os.ftruncate(fd, 4 << 20)',
      insert: 'fallocate(fd, 32, 1 << 20, 65536); os.ftruncate(fd, 4 << 20)',
      punch: 'fallocate(fd, 3, 1 << 20, 65536)',
      zero: 'fallocate(fd, 16, 1 << 20, 65536)',
      truncate: 'os.ftruncate(fd, 1 << 20); os.ftruncate(fd, 4 << 20)',
      direct:
        'b = mmap.mmap(-1, 65536); b.write(os.urandom(65536)); d = os.open(way, os.O_RDWR | os.O_DIRECT); os.pwrite(d, b, 1 << 20)',
      clone:
        "s = os.open('other', os.O_RDONLY); fcntl.ioctl(fd, 0x4020940d, struct.pack('qQQQ', s, 65536, 65536, 1 << 20))",
      anew: 'os.unlink(way); fd = os.open(way, os.O_RDWR | os.O_CREAT); os.ftruncate(fd, 4 << 20)',
    };
    const make = Object.keys(ways).map((way) => `open('${way}', 'wb').write(os.urandom(4 << 20))`);
    await python(source.dir, ["open('other', 'wb').write(os.urandom(4 << 20))", ...make].join('\n'));
    await using copy = await CapturedCopy.begin(source.dir, target.dir);
    await copy.settle();
    const done = await python(
      source.dir,
      `
import ctypes, struct
libc = ctypes.CDLL(None, use_errno=True)
def fallocate(*a):
  if libc.fallocate(a[0], a[1], ctypes.c_long(a[2]), ctypes.c_long(a[3])): raise OSError(ctypes.get_errno(), 'fallocate')
ways = ${JSON.stringify(ways)}
done = []
for way, script in ways.items():
  fd = os.open(way, os.O_RDWR)
  was = open(way, 'rb').read()
  try: exec(script)
  except OSError: continue
  os.pwrite(fd, b'page', 3 << 20)
  now = open(way, 'rb').read()
  assert len(now) == 4 << 20 and now[1 << 20:(1 << 20) + 65536] != was[1 << 20:(1 << 20) + 65536], way
  done.append(way)
print(*done)
`,
    );
    // What this file system has not cannot be tried.
    expect(done.trim().split(' ').length).toBeGreaterThanOrEqual(kind === 'btrfs' ? 6 : 7);
    const rounds = await copy.settle();
    expect(rounds.every(({ everything }) => everything === undefined)).toBe(true);
    expect(await differences(source.dir, target.dir)).toEqual([]);
  },
);

test.each(FILE_SYSTEMS)('large files are renamed on the target, alone or with what holds them, on %s', async (kind) => {
  await using source = await mountFresh(kind);
  await using target = await mountFresh(kind);
  await python(
    source.dir,
    `
for d in ('mm', 'mm/deep', 'other'): os.mkdir(d)
for name in ('mm/one', 'mm/deep/two', 'other/three', 'alone'): open(name, 'wb').write(os.urandom(5_000_000))
open('linked', 'wb').write(os.urandom(200_000)); os.link('linked', 'mm/linked'); open('mm/small', 'w').write('small'); os.setxattr('mm/one', 'user.k', b'v')
`,
  );
  await using copy = await CapturedCopy.begin(source.dir, target.dir);
  await copy.settle();
  // To where the walk comes earlier than to the old name, and later; out of each other; changed on the way.
  const steps: readonly (readonly [script: string, moved: number, mostBytes: number])[] = [
    ["os.rename('mm', 'aa')", 2, 200_000],
    ["os.rename('aa', 'zz')", 2, 0],
    ["os.rename('alone', 'zz/deep/alone'); os.rename('other', 'zz/other')", 2, 0],
    ["os.rename('zz/deep', 'mm'); f = open('mm/two', 'r+b'); f.seek(4_096_000); f.write(b'x'); f.close()", 2, 4096],
    ["os.rename('zz/one', 'mm/two')", 1, 0],
    // One there and back: what is where it was costs nothing.
    ["os.rename('zz', 'there'); os.rename('there', 'zz')", 0, 0],
  ];
  for (const [script, moved, mostBytes] of steps) {
    copy.takeWireBytes();
    await python(source.dir, script);
    const rounds = await copy.settle();
    const sum = (of: 'moved' | 'sentBytes') => rounds.reduce((total, round) => total + round[of], 0);
    expect(rounds.every(({ everything }) => everything === undefined)).toBe(true);
    expect(await differences(source.dir, target.dir), script).toEqual([]);
    expect([script, sum('moved')]).toEqual([script, moved]);
    // Beside it small files go again.
    expect(sum('sentBytes'), script).toBeLessThanOrEqual(mostBytes + 100);
    expect(copy.takeWireBytes(), script).toBeLessThan(mostBytes + 200_000);
  }
  // What was another file there before is sent: nothing is taken from a name that was written in the same round.
  await python(source.dir, `import ctypes; ctypes.CDLL(None).renameat2(-100, b'mm', -100, b'zz', 2)`);
  await copy.settle();
  expect(await differences(source.dir, target.dir)).toEqual([]);
});

test.each(FILE_SYSTEMS)('a storm of renames while rounds are told of changes, on %s', async (kind) => {
  await using source = await mountFresh(kind);
  await using target = await mountFresh(kind);
  await python(
    source.dir,
    "for d in range(8):\n  os.makedirs('%d/in' % d)\n  for f in range(9): open('%d/%d' % (d, f), 'w').write(str(f))",
  );
  await using copy = await CapturedCopy.begin(source.dir, target.dir);
  await copy.settle();
  const storm = python(
    source.dir,
    `
import ctypes, random
libc = ctypes.CDLL(None)
for i in range(3000):
  a, b = random.sample('01234567', 2)
  os.rename(a, 'tmp'); os.rename(b, a); os.rename('tmp', b)
  libc.renameat2(-100, ('%s/3' % a).encode(), -100, ('%s/in' % b).encode(), 2)
  os.rename('%s/4' % a, '%s/5' % b) if os.path.exists(a + '/4') else open(a + '/4', 'w').write(str(i))
`,
  );
  let isOver = false;
  void storm.finally(() => {
    isOver = true;
  });
  while (!isOver) await copy.round();
  await storm;
  const rounds = await copy.settle();
  expect(rounds.every(({ everything }) => everything === undefined)).toBe(true);
  expect(await differences(source.dir, target.dir)).toEqual([]);
});

test.each(['events', 'dirty pages'] as const)(
  'a burst that loses %s ends in a look at everything, and equal',
  async (what) => {
    await using source = await mountFresh('ext4');
    await using target = await mountFresh('ext4');
    mkdirSync(join(source.dir, 'many'));
    await using copy = await CapturedCopy.begin(source.dir, target.dir, {
      drainEveryMs: 60_000,
      ...(what === 'events' ? { queue: 'limited' } : { ringKiB: 8 }),
    });
    await copy.settle();
    const { lost } = copy.capture.counts;
    // More names than a queue of the usual limit holds; more pages than the ring does.
    await python(
      source.dir,
      what === 'events'
        ? "for i in range(20000): os.mknod('many/%d' % i)"
        : "for i in range(300): open('many/%d' % i, 'wb').write(bytes(9000))",
    );
    const rounds = await copy.settle();
    expect(rounds[0]?.everything).toMatch(/lost/);
    // Of so small a ring, what other programs write may lose some at any time.
    if (what === 'events') expect(rounds.at(-1)?.everything).toBeUndefined();
    expect(copy.capture.counts.lost).toBeGreaterThan(lost);
    expect(await differences(source.dir, target.dir)).toEqual([]);
  },
);

test('what is mounted during the copy is looked at, and watched from then on', async () => {
  await using source = await mountFresh('ext4');
  await using other = await mountFresh('xfs');
  await using target = await mountFresh('ext4');
  mkdirSync(join(source.dir, 'point'));
  await using copy = await CapturedCopy.begin(source.dir, target.dir);
  await copy.settle();
  writeFileSync(join(other.dir, 'file'), 'there');
  await python(
    source.dir,
    `import subprocess; subprocess.run(['mount', '--bind', ${JSON.stringify(other.dir)}, 'point'], check=True)`,
  );
  expect((await copy.settle())[0]?.everything).toMatch(/mounted/);
  writeFileSync(join(other.dir, 'later'), 'told by the other file system');
  const rounds = await copy.settle();
  expect(rounds.every(({ everything }) => everything === undefined)).toBe(true);
  expect(await differences(source.dir, target.dir)).toEqual([]);
});

test('rounds that are told of changes look at these alone, and our own state on the watched file system tells nothing', async () => {
  await using source = await mountFresh('ext4');
  await using target = await mountFresh('ext4');
  await python(source.dir, "for i in range(2000):\n  open('f%d' % i, 'w').write('x')");
  await using copy = await CapturedCopy.begin(source.dir, target.dir, {}, join(source.dir, 'state'));
  await copy.settle();
  // The root alone, and what shares its number with a file that some other program wrote meanwhile: the trace names inodes
  // by number. Not the two thousand, and not our own state.
  const quiet = { everything: undefined, sent: 0, removed: 0, unsettled: 0 };
  const isFew = (round: { readonly entries: number }) => expect(round.entries).toBeLessThan(100);
  const first = await copy.round();
  expect(first).toMatchObject(quiet);
  isFew(first);
  truncateSync(join(source.dir, 'f77'), 0);
  const told = await copy.round();
  expect(told).toMatchObject({ ...quiet, sent: 1 });
  isFew(told);
  const last = await copy.round();
  expect(last).toMatchObject(quiet);
  isFew(last);
});

test.each(FILE_SYSTEMS)(
  'writes to a file that is written to all the time are told once, and the first one after that was asked for again, on %s',
  async (kind) => {
    await using source = await mountFresh(kind);
    const file = join(source.dir, 'busy');
    const fd = openSync(file, 'w');
    writeSync(fd, 'a');
    const roots = openRoots([{ source: source.dir, target: '/' }]);
    const capture = new Capture(roots, { own: new Set(), trace: false, drainEveryMs: 1 });
    const { counts } = capture;
    try {
      capture.take();
      for (let round = 0; round < 40; round += 1) {
        const before = counts.ignored;
        const isIgnored = () => {
          writeSync(fd, 'b', 0);
          return counts.ignored > before;
        };
        await waitFor(isIgnored, { timeoutMs: 20_000, what: 'its writes to be left out' });
        const { events } = counts;
        for (let i = 0; i < 100; i += 1) writeSync(fd, 'c', 0);
        expect(capture.take().written.size).toBe(1);
        // One may have come before they were left out.
        expect(counts.events - events).toBeLessThan(5);
        // Asked for again, or at once, or with others before it: what is written from here on is told.
        if (round % 2 === 0) expect(capture.take().written.size).toBe(0);
        writeSync(fd, 'd', 0);
        expect(capture.take().written.size).toBe(1);
        // Told once already, and once more by what is taken last.
        const { events: told } = counts;
        writeSync(fd, 'e', 0);
        await waitFor(() => counts.events > told, { timeoutMs: 20_000, what: 'the write to be told' });
        writeSync(fd, 'f', 0);
        expect(capture.take().written.size).toBe(1);
        writeSync(fd, 'g', 0);
        expect(capture.take().written.size).toBe(1);
      }
      expect(counts.lost).toBe(0);
    } finally {
      capture[Symbol.dispose]();
      closeRoots(roots);
      closeSync(fd);
    }
  },
);
