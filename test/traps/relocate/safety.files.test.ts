/** Where things must not go, what must not be copied, and what happens when it is cut off. */
import { symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openNamedDirectory } from '../../../src/adapters/linux-files/libc/open.ts';
import { Applier } from '../../../src/adapters/linux-files/target/applier.ts';
import { Place } from '../../../src/adapters/linux-files/target/place.ts';
import { OP } from '../../../src/adapters/linux-files/wire/operation.ts';
import { Packer } from '../../../src/adapters/linux-files/wire/packer.ts';
import { moveOverCuts } from '../../files/cuts.ts';
import { mountFresh, must } from '../../files/file-system.ts';
import { differences, move, python, Scratch } from '../../files/move.ts';

/** `GODWIT_FILE_CUTS=200 GODWIT_FILE_KILLS=200 GODWIT_FILE_MEGABYTES=8000` for a long run. */
const CUTS = Number(process.env['GODWIT_FILE_CUTS'] ?? 30);
const KILLS = Number(process.env['GODWIT_FILE_KILLS'] ?? 8);
const MEGABYTES = Number(process.env['GODWIT_FILE_MEGABYTES'] ?? 150);

/** Operations as a hostile or mistaken source might send them. */
function operations(pack: (to: Packer) => void): Buffer {
  const packer = new Packer(4096);
  pack(packer);
  return Buffer.from(packer.bytes);
}

function packFile(to: Packer, name: string): void {
  to.u8(OP.file);
  to.text(name);
  to.u16(0o100644);
  for (const zero of [0, 0]) to.u32(zero);
  for (let times = 0; times < 2; times += 1) {
    to.long(1);
    to.u32(0);
  }
  to.u32(0);
  to.u16(0);
  to.blob(Buffer.from('content'));
}

test('nothing is written outside of the root, whatever is swapped for a link in the meantime', async () => {
  await using target = await mountFresh('ext4');
  await python(target.dir, "os.makedirs('root/dir/sub'); os.makedirs('outside/sub')");
  const place = new Place(openNamedDirectory(join(target.dir, 'root')), ['']);
  const cd = (to: Packer, path: string) => {
    to.u8(OP.cd);
    to.u16(0);
    to.text(path);
  };
  const applier = new Applier(place, () => undefined);
  applier.apply(operations((to) => cd(to, 'dir/sub')));
  // Between the look and the write, as another process on the target might.
  await python(target.dir, "os.rename('root/dir', 'root/was'); os.symlink('../outside', 'root/dir')");
  for (const path of ['dir', 'dir/sub', '..', 'was/../../outside', '/etc']) {
    expect(() =>
      applier.apply(
        operations((to) => {
          cd(to, path);
          packFile(to, 'escaped');
        }),
      ),
    ).toThrow();
  }
  for (const name of ['..', '.', 'a/b', '../x', '', 'a\0b']) {
    expect(() =>
      applier.apply(
        operations((to) => {
          cd(to, '');
          packFile(to, name);
        }),
      ),
    ).toThrow(/names no name/);
  }
  // A file over a link replaces the link, and never writes through it.
  symlinkSync('../outside/victim', join(target.dir, 'root/victim'));
  applier.apply(
    operations((to) => {
      cd(to, '');
      packFile(to, 'victim');
      to.u8(OP.enter);
      to.text('dir');
      packFile(to, 'inside');
    }),
  );
  applier.close();
  expect(
    await python(
      target.dir,
      "print(sorted(os.listdir('outside')), os.listdir('outside/sub'), os.path.islink('root/victim'), os.path.islink('root/dir'))",
    ),
  ).toBe("['sub'] [] False False\n");
});

test('what lives in memory is left out by type, mount points are made, files below a mount are told of', async () => {
  await using source = await mountFresh('ext4');
  await using other = await mountFresh('xfs');
  await using target = await mountFresh('ext4');
  await python(
    source.dir,
    `
for d in ('proc','sys','run','dev','cg','data','bound','normal'): os.mkdir(d)
open('run/hidden','w').write('below'); open('data/below','w').write('x'); os.chmod('run', 0o750); os.utime('run', ns=(1, 1_300_000_000_000_000_003))
open('normal/f','w').write('y')
`,
  );
  await python(other.dir, "os.mkdir('db'); open('db/file','w').write('on its own file system')");
  await must('mount', ['-t', 'proc', 'proc', `${source.dir}/proc`]);
  await must('mount', ['-t', 'sysfs', 'sysfs', `${source.dir}/sys`]);
  await must('mount', ['-t', 'tmpfs', 'tmpfs', `${source.dir}/run`]);
  await must('mount', ['-t', 'devtmpfs', 'dev', `${source.dir}/dev`]).catch(() =>
    must('mount', ['-t', 'tmpfs', 'dev', `${source.dir}/dev`]),
  );
  await must('mount', ['--bind', other.dir, `${source.dir}/data`]);
  await python(source.dir, "open('run/in-memory','w').write('gone with the power')");
  const { result } = await move(source.dir, target.dir);
  expect(result.outcome).toBe('proven');
  expect(result.notes['memory']?.examples).toEqual(
    expect.arrayContaining(['proc (proc)', 'sys (sysfs)', 'run (tmpfs)', 'dev (tmpfs)']),
  );
  expect(result.notes['hidden']?.examples).toEqual(expect.arrayContaining(['run (1 names)', 'data (1 names)']));
  expect(
    await python(
      target.dir,
      "print(*sorted(os.listdir('.'))); print(os.listdir('run'), os.listdir('proc'), open('data/db/file').read()); s=os.stat('run'); print(oct(s.st_mode), s.st_mtime_ns)",
    ),
  ).toBe(
    'bound cg data dev lost+found normal proc run sys\n[] [] on its own file system\n0o40750 1300000000000000003\n',
  );
});

test('a target below the source, and the state of both, are not copied into themselves', async () => {
  await using source = await mountFresh('ext4');
  await python(source.dir, "os.mkdir('app'); open('app/f','wb').write(os.urandom(500000)); os.mkdir('state')");
  const scratchInside = new Scratch();
  const { result } = await move(
    source.dir,
    join(source.dir, 'staging'),
    { state: join(source.dir, 'state/agent') },
    scratchInside,
  );
  scratchInside[Symbol.dispose]();
  expect(result.outcome).toBe('proven');
  expect([...(result.notes['own']?.examples ?? [])].sort()).toEqual(['staging', 'state/agent']);
  expect(await python(source.dir, "print(*sorted(os.listdir('staging')), os.listdir('staging/state'))")).toBe(
    'app state []\n',
  );
});

test('a full disk stops it with its code; with room made it goes on, and what is there is not sent again', async () => {
  await using source = await mountFresh('ext4');
  await using target = await mountFresh('ext4', 60);
  using scratch = new Scratch();
  await python(source.dir, "[open('f%02d' % i,'wb').write(os.urandom(2_000_000)) for i in range(30)]");
  await expect(move(source.dir, join(target.dir, 'root'), {}, scratch)).rejects.toMatchObject({ code: 'GW5402' });
  await python(source.dir, "[os.truncate('f%02d' % i, 1_000_000) for i in range(15, 30)]");
  const { result } = await move(source.dir, join(target.dir, 'root'), {}, scratch);
  expect(result.outcome).toBe('proven');
  expect(result.rounds[0]?.sentBytes).toBeLessThan(40_000_000);
  expect(await differences(source.dir, join(target.dir, 'root'))).toEqual([]);
});

test(
  'over mutual TLS, cut off at random points: it goes on, and sends less than one part in a hundred again for each',
  async () => {
    const { outcome, cuts, resent, total, found } = await moveOverCuts({ cuts: CUTS, megabytes: MEGABYTES, seed: 1 });
    console.info(
      `${cuts} cuts: ${((resent / cuts / total) * 100).toFixed(2)} % again for each, ${((resent / total) * 100).toFixed(2)} % over all`,
    );
    expect([outcome, cuts, found]).toEqual(['proven', CUTS, []]);
    expect(resent / cuts / total).toBeLessThan(0.01);
  },
  300_000 + CUTS * 4_000 + MEGABYTES * 500,
);

test(
  'either side killed at random points: it goes on',
  async () => {
    const { killMoves } = await import('../../files/kills.ts');
    const { outcome, kills, resent, total, found } = await killMoves({ kills: KILLS, megabytes: MEGABYTES, seed: 1 });
    console.info(
      `${kills} kills: ${((resent / kills / total) * 100).toFixed(2)} % again for each, ${((resent / total) * 100).toFixed(2)} % over all`,
    );
    expect([outcome, kills, found]).toEqual(['proven', KILLS, []]);
    expect(resent / kills / total).toBeLessThan(0.01);
  },
  300_000 + KILLS * 10_000 + MEGABYTES * 500,
);

test('a root that holds something else is refused', async () => {
  await using source = await mountFresh('ext4');
  await using target = await mountFresh('ext4');
  await python(source.dir, "open('f','w').write('x')");
  await python(target.dir, "open('precious','w').write('do not touch')");
  await expect(move(source.dir, target.dir)).rejects.toMatchObject({ code: 'GW2404' });
  expect(await python(target.dir, "print(*sorted(os.listdir('.')), open('precious').read())")).toBe(
    'lost+found precious do not touch\n',
  );
});
