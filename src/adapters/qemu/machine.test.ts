import { expect, test } from 'vitest';
import { machineArguments } from './machine.ts';
import { isTaken } from './monitor.ts';

const OPTIONS = {
  dir: '/work',
  accelerator: 'tcg',
  megabytes: 512,
  kernel: '/k',
  initrd: '/i',
  words: 'root=UUID=x',
  disks: ['/a,b.qcow2'],
} as const;
const networkOf = (network: Parameters<typeof machineArguments>[0]['network']) =>
  machineArguments({ ...OPTIONS, network }).filter((word) => word.startsWith('user,'));

test('the network has no way out, and only what is forwarded in', () => {
  const [user] = networkOf({
    address: { ip: '10.9.8.7', prefix: 24 },
    macs: ['52:54:00:00:00:01', '52:54:00:00:00:02'],
    forwards: [{ hostPort: 4000, port: 80 }],
  });
  expect(user).toBe(
    'user,id=u0,restrict=on,ipv6=off,net=10.9.8.0/24,host=10.9.8.254,dns=10.9.8.253,dhcpstart=10.9.8.252,' +
      'hostfwd=tcp:127.0.0.1:4000-10.9.8.7:80',
  );
  expect(networkOf({ macs: [], forwards: [] })).toEqual(['user,id=u0,restrict=on,ipv6=off']);
});

test('no address of QEMU is that of the machine, in the smallest network either', () => {
  const [last] = networkOf({ address: { ip: '192.0.2.254', prefix: 24 }, macs: [], forwards: [] });
  expect(last).toContain('net=192.0.2.0/24,host=192.0.2.253,dns=192.0.2.252,dhcpstart=192.0.2.251');
  const [small] = networkOf({ address: { ip: '203.0.113.5', prefix: 32 }, macs: [], forwards: [] });
  expect(small).toContain('net=203.0.113.0/29,host=203.0.113.6,dns=203.0.113.4,dhcpstart=203.0.113.3');
});

test('a comma in a name does not begin another option', () => {
  expect(machineArguments({ ...OPTIONS, network: { macs: [], forwards: [] } }).join(' ')).toContain(
    'file=/a,,b.qcow2,',
  );
});

test('a connection counts when the machine has taken it, not when QEMU has', () => {
  const table = (state: string) =>
    `Hub 0 (u0):\n  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ\n` +
    `  TCP[HOST_FORWARD]  12       127.0.0.1  4000      10.9.8.7    80     0     0\n` +
    `  TCP[${state}]  15       127.0.0.1  4000      10.9.8.7    80     0     0\n`;
  expect(isTaken(table('SYN_SENT'), 4000)).toBe(false);
  expect(isTaken(table('ESTABLISHED'), 4001)).toBe(false);
  expect(isTaken(table('ESTABLISHED'), 4000)).toBe(true);
  expect(isTaken('', 4000)).toBe(false);
});
