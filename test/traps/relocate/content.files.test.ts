/** Content, names and links of a tree that stands still. */
import { expect, test } from 'vitest';
import { FILE_SYSTEMS, mountFresh } from '../../files/file-system.ts';
import { certify, differences, move, python, Scratch } from '../../files/move.ts';

test.each(FILE_SYSTEMS)(
  'a terabyte of holes with three extents costs three extents, and keeps its map, on %s',
  async (kind) => {
    await using source = await mountFresh(kind);
    await using target = await mountFresh(kind);
    await python(
      source.dir,
      `
with open('sparse','wb') as f:
  f.truncate(1<<40)
  for at in (0, 1<<30, (1<<40) - 70000): f.seek(at); f.write(os.urandom(65536))
with open('tail','wb') as f: f.write(b'x'*5000); f.truncate(300000)
with open('head','wb') as f: f.truncate(3*4096); f.seek(2*4096); f.write(b'y')
`,
    );
    using scratch = new Scratch();
    const { result } = await move(source.dir, target.dir, {}, scratch);
    expect(result.outcome).toBe('proven');
    expect(await differences(source.dir, target.dir, true)).toEqual([]);
    expect(result.rounds[0]?.sentBytes).toBeLessThan(600_000);
    // A change in it costs that change, not a look at all the holes.
    await python(
      source.dir,
      "f=open('sparse','r+b'); f.seek(1<<35); f.write(b'new'); f.seek(100); f.write(b'changed')",
    );
    const again = await move(source.dir, target.dir, {}, scratch);
    expect(again.result.outcome).toBe('proven');
    expect(await differences(source.dir, target.dir, true)).toEqual([]);
    expect(again.result.rounds[0]?.sentBytes).toBeLessThan(20_000);
  },
);

test.each(FILE_SYSTEMS)('names are bytes: pairs, broken UTF-8, line feeds, 255 of them, on %s', async (kind) => {
  await using source = await mountFresh(kind);
  await using target = await mountFresh(kind);
  await python(
    source.dir,
    `
for n in [b'File', b'file', b'e\\xcc\\x81', b'\\xc3\\xa9', b'\\xff\\xfe', b'\\xc3', b'a\\nb', b' ', b'-rf', b'\\\\', b'%41', b'*', b'\\x01\\x7f', b'n'*255, b'\\xf0\\x9f'*127]:
  open(n,'wb').write(n); os.symlink(n, b'l'+n[:200]); os.mkdir(b'd'+n[:200]); open(b'd'+n[:200]+b'/'+n,'wb').write(b'in')
os.symlink(b'\\xff\\n'+b't'*3000 if ${kind === 'xfs' ? 'False' : 'True'} else b'\\xff\\n'+b't'*900, 'long')
`,
  );
  const { result } = await move(source.dir, target.dir);
  expect(result.outcome).toBe('proven');
  expect(await differences(source.dir, target.dir)).toEqual([]);
  expect(result.certificate?.mappings[0]?.root).toBe(await certify(source.dir));
});

test('paths longer than the kernel takes', async () => {
  await using source = await mountFresh('ext4');
  await using target = await mountFresh('ext4');
  await python(
    source.dir,
    `
for i in range(40):
  os.mkdir('p'*250); open('f%d'%i,'w').write('x'*i); os.chdir('p'*250)
open('deepest','wb').write(os.urandom(400000)); os.link('deepest', 'again'); os.utime('.', ns=(1, 1_400_000_000_000_000_009))
`,
  );
  const { result } = await move(source.dir, target.dir);
  expect(result.outcome).toBe('proven');
  expect(await differences(source.dir, target.dir)).toEqual([]);
});

test.each(FILE_SYSTEMS)('a thousand names of one file are one file, sent once, on %s', async (kind) => {
  await using source = await mountFresh(kind);
  await using target = await mountFresh(kind);
  using scratch = new Scratch();
  await python(
    source.dir,
    `
os.mkdir('a'); os.mkdir('b'); open('a/x','wb').write(os.urandom(500000)); open('small','w').write('s'); os.link('small','a/small')
for i in range(1000): os.link('a/x', 'b/%d' % i)
os.symlink('q','sym'); os.link('sym','sym2', follow_symlinks=False); os.mkfifo('p'); os.link('p','a/p')
`,
  );
  const first = await move(source.dir, target.dir, {}, scratch);
  expect(first.result.outcome).toBe('proven');
  expect(first.result.rounds[0]?.sentBytes).toBe(500_001);
  expect(await differences(source.dir, target.dir)).toEqual([]);
  // The group is broken up and made anew in other ways.
  await python(
    source.dir,
    "os.unlink('a/x'); os.unlink('b/0'); open('b/0','w').write('alone'); os.link('b/1','a/y'); os.unlink('small'); os.link('b/5','small')",
  );
  const second = await move(source.dir, target.dir, {}, scratch);
  expect(second.result.outcome).toBe('proven');
  expect(await differences(source.dir, target.dir)).toEqual([]);
});

test('what became another kind of thing, moved or went between two copies follows', async () => {
  await using source = await mountFresh('ext4');
  await using target = await mountFresh('ext4');
  using scratch = new Scratch();
  await python(
    source.dir,
    `
for d in 'abcdef': os.makedirs(d+'/sub/sub'); open(d+'/f','w').write(d); open(d+'/sub/g','w').write(d); open(d+'/sub/sub/h','wb').write(os.urandom(300000))
open('z','w').write('z'); os.symlink('a','ln')
`,
  );
  expect((await move(source.dir, target.dir, {}, scratch)).result.outcome).toBe('proven');
  await python(
    source.dir,
    `
import shutil
shutil.rmtree('a'); open('a','w').write('a file now'); os.rename('b','b2'); os.unlink('z'); os.mkdir('z'); open('z/in','w').write('1')
os.unlink('ln'); os.mkfifo('ln'); os.rename('c/sub','d/sub/sub/moved'); os.rename('e','tmp'); os.rename('f','e'); os.rename('tmp','f')
os.chmod('d/f', 0o600); shutil.rmtree('d/sub/sub/moved/sub'); open('zz','w')
`,
  );
  const { result } = await move(source.dir, target.dir, {}, scratch);
  expect(result.outcome).toBe('proven');
  expect(await differences(source.dir, target.dir)).toEqual([]);
});

test('a million files in one directory need no more memory than a few hundred megabytes', async () => {
  const { oneMillion } = await import('../../files/one-million.ts');
  const { entries, agentMiB, receiveMiB, restarts } = await oneMillion(100_000);
  expect(entries).toBe(100_001);
  expect(restarts).toBe(0);
  expect(agentMiB).toBeLessThan(200);
  expect(receiveMiB).toBeLessThan(200);
}, 600_000);

test('a large file of which a few pages changed sends little more than these pages', async () => {
  await using source = await mountFresh('ext4', 600);
  await using target = await mountFresh('ext4', 600);
  using scratch = new Scratch();
  await python(
    source.dir,
    "open('db','wb').write(os.urandom(100_000_000)); open('grows','wb').write(os.urandom(3_000_001))",
  );
  expect((await move(source.dir, target.dir, {}, scratch)).result.outcome).toBe('proven');
  await python(
    source.dir,
    `
import random
f=open('db','r+b', buffering=0); r=random.Random(3)
for page in r.sample(range(20000), 200): f.seek(page*4096 + 100); f.write(b'changed')
g=open('grows','ab'); g.write(b'more'*1000); g.close(); os.truncate('db', 99_999_999)
`,
  );
  const { result } = await move(source.dir, target.dir, {}, scratch);
  expect(result.outcome).toBe('proven');
  expect(await differences(source.dir, target.dir)).toEqual([]);
  expect(result.rounds[0]?.sentBytes).toBeLessThan(2 * 203 * 4096);
});

test('what was bent on the target is found by the proof and mended', async () => {
  await using source = await mountFresh('ext4');
  await using target = await mountFresh('ext4');
  using scratch = new Scratch();
  await python(
    source.dir,
    "os.mkdir('d'); [open('d/f%d' % i,'wb').write(os.urandom(300_000)) for i in range(5)]; open('s','w').write('small'); os.mkdir('gone')",
  );
  expect((await move(source.dir, target.dir, {}, scratch)).result.outcome).toBe('proven');
  await python(
    target.dir,
    "f=open('d/f1','r+b'); f.seek(1000); f.write(b'bent'); f.close(); os.unlink('d/f2'); os.makedirs('extra/deep'); open('extra/deep/x','w'); open('d/more','w'); os.chmod('s', 0o777); os.rmdir('gone')",
  );
  const { result, events } = await move(source.dir, target.dir, {}, scratch);
  expect(events.some((event) => event.kind === 'proof' && !event.equal)).toBe(true);
  expect(result.outcome).toBe('proven');
  expect(await differences(source.dir, target.dir)).toEqual([]);
});
