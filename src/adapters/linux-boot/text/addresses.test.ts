import { expect, test } from 'vitest';
import { staticAddresses } from './addresses.ts';

const texts = (text: string, isNetplan = false) =>
  staticAddresses(text, isNetplan).map(({ ip, prefix }) => `${ip}/${prefix}`);

test('addresses of all four kinds of configuration', () => {
  expect(texts('iface lo inet loopback\niface ens3 inet static\n  address 10.9.8.7/24\n  gateway 10.9.8.1\n')).toEqual([
    '10.9.8.7/24',
  ]);
  expect(
    texts('iface eth0 inet static\n  address 192.0.2.4\n  gateway 192.0.2.1\n  netmask 255.255.255.128\n'),
  ).toEqual(['192.0.2.4/25']);
  expect(texts('[Match]\nName=ens3\n[Network]\nAddress=198.51.100.3/24\nGateway=198.51.100.1\n')).toEqual([
    '198.51.100.3/24',
  ]);
  expect(texts('[ipv4]\naddress1=203.0.113.9/24,203.0.113.1\nmethod=manual\n')).toEqual(['203.0.113.9/24']);
  const netplan =
    'network:\n  ethernets:\n    ens3:\n      addresses: [10.1.2.3/16, "fd00::1/64"]\n      routes:\n' +
    '        - to: 10.9.0.0/16\n          via: 10.1.0.1\n      nameservers:\n        addresses: [9.9.9.9]\n';
  expect(texts(netplan, true)).toEqual(['10.1.2.3/16']);
});

test('DHCP has none, and neither have comments and loopback', () => {
  expect(texts('iface ens3 inet dhcp\n# address 10.0.0.1/8\n')).toEqual([]);
  expect(texts('#  - 10.0.0.1/8\naddresses:\n  - 127.0.0.2/8\n', true)).toEqual([]);
});
