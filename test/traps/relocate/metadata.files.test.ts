/** What belongs to files beside their content. */
import { expect, test } from 'vitest';
import { FILE_SYSTEMS, mountFresh, must } from '../../files/file-system.ts';
import { certify, differences, move, python } from '../../files/move.ts';
import { needPrograms } from '../../files/packages.ts';

test.each(FILE_SYSTEMS)('attributes, ACLs, capabilities, labels and flags arrive, on %s', async (kind) => {
  await needPrograms('setfacl', 'setcap');
  await using source = await mountFresh(kind);
  await using target = await mountFresh(kind);
  await python(
    source.dir,
    `
os.mkdir('acl'); os.mkdir('acl/in'); open('acl/f','w').write('x'); open('plain','w').write('y')
open('caps','w').write('#!'); os.chmod('caps', 0o755); os.chown('caps', 1000, 1000)
open('flags','w').write('z'); open('append','w').write('z'); open('nodump','w').write('z'); os.mkdir('lockeddir'); open('lockeddir/in','w').write('1')
open('linked','w').write('l'); os.mkdir('zz'); os.link('linked', 'zz/other')
os.setxattr('plain','user.big', os.urandom(1500)); os.setxattr('plain','user.empty', b''); os.setxattr('plain', 'trusted.overlay.opaque', b'y')
os.setxattr('acl','user.dir', b'd'); os.symlink('nowhere', 'link'); os.setxattr('link','trusted.link', b'l', follow_symlinks=False)
os.mkfifo('pipe'); os.setxattr('pipe', 'trusted.pipe', b'p'); os.chmod('pipe', 0o6640)
os.setxattr('plain', 'security.godwit', b'label')
`,
  );
  await must('setfacl', ['-m', 'u:1234:rwx,g:99:r,m::rx', '-d', '-m', 'u:77:rw', `${source.dir}/acl`]);
  await must('setfacl', ['-m', 'u:1234:rw', `${source.dir}/acl/f`]);
  await must('setcap', ['cap_net_raw,cap_sys_admin+ep', `${source.dir}/caps`]);
  await must('chattr', ['+i', `${source.dir}/flags`, `${source.dir}/lockeddir`, `${source.dir}/linked`]);
  await must('chattr', ['+a', `${source.dir}/append`]);
  await must('chattr', ['+d', '+A', `${source.dir}/nodump`]);
  const { result } = await move(source.dir, target.dir);
  expect(result).toMatchObject({ outcome: 'proven', differences: [] });
  expect(await differences(source.dir, target.dir, true)).toEqual([]);
  expect(result.certificate?.mappings[0]?.root).toBe(await certify(target.dir));
  expect(await must('getcap', [`${target.dir}/caps`])).toContain('cap_net_raw');
});

test.each(FILE_SYSTEMS)('times arrive to the nanosecond, those of directories too, on %s', async (kind) => {
  await using source = await mountFresh(kind);
  await using target = await mountFresh(kind);
  await python(
    source.dir,
    `
for i in range(50):
  os.mkdir('d%d'%i); open('d%d/f'%i,'w').write('x'); os.utime('d%d/f'%i, ns=(i*7, 1_600_000_000_123_456_789+i))
os.symlink('x','l'); os.utime('l', ns=(1, 999_999_999), follow_symlinks=False)
os.mkdir('old'); os.utime('old', ns=(3, -86_400_000_000_001)); os.utime('d1/f', ns=(5, 2_200_000_000_000_000_007))
for i in range(50): os.utime('d%d'%i, ns=(i, 1_500_000_000_000_000_001+i))
os.utime('.', ns=(1, 1_234_567_891_234_567_891))
`,
  );
  const { result } = await move(source.dir, target.dir);
  expect(result.outcome).toBe('proven');
  expect(await differences(source.dir, target.dir)).toEqual([]);
  expect(await python(target.dir, "print(os.stat('d1/f').st_mtime_ns, os.stat('.').st_mtime_ns)")).toBe(
    '2200000000000000007 1234567891234567891\n',
  );
});

test.each(FILE_SYSTEMS)(
  'devices, FIFOs and set-user bits are made anew, sockets are left out and told of, on %s',
  async (kind) => {
    await using source = await mountFresh(kind);
    await using target = await mountFresh(kind);
    await python(
      source.dir,
      `
os.mknod('null', 0o020666, os.makedev(1,3)); os.mknod('disk', 0o060640, os.makedev(259, 70000)); os.chown('disk', 0, 6)
os.mknod('whiteout', 0o020000, os.makedev(0,0))
os.mkfifo('fifo', 0o622); os.chmod('fifo', 0o622); s=socket.socket(socket.AF_UNIX); s.bind('sock')
open('suid','w').write('x'); os.chown('suid', 33, 44); os.chmod('suid', 0o6755); os.mkdir('sticky'); os.chmod('sticky', 0o1777)
`,
    );
    const { result } = await move(source.dir, target.dir);
    expect(result.outcome).toBe('proven');
    expect(result.notes['socket']).toEqual({ count: 1, examples: ['sock'] });
    expect(await differences(source.dir, target.dir)).toEqual([]);
    expect(
      await python(
        target.dir,
        "s=os.stat('disk'); print(os.major(s.st_rdev), os.minor(s.st_rdev), os.path.exists('sock'))",
      ),
    ).toBe('259 70000 False\n');
  },
);

test('owners are numbers: users that the target does not have keep theirs', async () => {
  await using source = await mountFresh('ext4');
  await using target = await mountFresh('ext4');
  await python(
    source.dir,
    "open('f','w'); os.chown('f', 3_999_999_999, 70001); os.mkdir('d'); os.chown('d', 65534, 12)",
  );
  expect((await move(source.dir, target.dir)).result.outcome).toBe('proven');
  expect(await differences(source.dir, target.dir)).toEqual([]);
  expect(await python(target.dir, "print(os.stat('f').st_uid)")).toBe('3999999999\n');
});

test('what the target cannot keep is named, and the copy is not proven', async () => {
  await using source = await mountFresh('xfs');
  await using target = await mountFresh('ext4');
  // ext4 keeps all attributes of a file in one block; XFS keeps as many as one wants.
  await python(source.dir, "open('f','w'); [os.setxattr('f', 'user.%d' % i, os.urandom(3000)) for i in range(5)]");
  const { result, events } = await move(source.dir, target.dir, { rounds: 1 });
  expect(result.outcome).toBe('not-proven');
  expect(result.differences.join()).toContain('xattr:user.');
  expect(events.some((event) => event.kind === 'note' && event.why === 'refused' && event.path === 'f')).toBe(true);
});
