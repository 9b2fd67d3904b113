import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { adapt } from './adapt.ts';
import { pairCards } from './cards.ts';

const [A, B] = ['52:54:00:00:00:0a', '52:54:00:00:00:0b'];
const nic = (mac: string) => ({ mac, drivers: [] });
let one = '';
let two = '';

beforeAll(() => {
  const make = (text: string) => {
    const root = mkdtempSync(join(tmpdir(), 'godwit-cards-'));
    mkdirSync(join(root, 'etc/network'), { recursive: true });
    writeFileSync(join(root, 'etc/network/interfaces'), text);
    return root;
  };
  one = make('iface ens3 inet dhcp\n');
  two = make('iface ens3 inet dhcp\niface ens4 inet dhcp\n');
});
afterAll(() => {
  for (const root of [one, two]) rmSync(root, { recursive: true, force: true });
});

test('one card and one card belong together', () => {
  expect([...pairCards(one, [nic(A.toUpperCase())], new Map()).pairs]).toEqual([['ens3', A]]);
});

test('of more cards somebody must say it; the last one is clear by then', () => {
  expect(() => pairCards(two, [nic(A), nic(B)], new Map())).toThrow('ens3, ens4');
  expect(() => pairCards(one, [], new Map())).toThrow('no network card');
  const { pairs, findings } = pairCards(two, [nic(A), nic(B)], new Map([['ens4', A]]));
  expect([...pairs]).toEqual([
    ['ens4', A],
    ['ens3', B],
  ]);
  expect(findings).toEqual([]);
  expect(pairCards(two, [nic(A)], new Map([['ens4', A]])).findings.map(({ message }) => message)).toEqual([
    'No network card of the target stands for ens3: its addresses will be missing',
  ]);
});

test('a card that the target has not, twice the same, or no address at all is refused', () => {
  expect(() => pairCards(one, [nic(A)], new Map([['ens3', B]]))).toThrow('has no network card');
  expect(() => pairCards(one, [nic(A)], new Map([['ens3', 'eth0']]))).toThrow('no address');
  expect(() =>
    pairCards(
      two,
      [nic(A)],
      new Map([
        ['ens3', A],
        ['ens4', A],
      ]),
    ),
  ).toThrow('two cards');
});

test('another distribution is refused by its name', async () => {
  writeFileSync(join(one, 'etc/os-release'), 'ID=fedora\nPRETTY_NAME="Fedora Linux 41"\n');
  const options = { root: one, hardware: undefined, nics: new Map<string, string>(), swaps: [], isDryRun: false };
  const hooks = { signal: new AbortController().signal, onEvent: () => undefined };
  await expect(adapt(options, hooks)).rejects.toMatchObject({
    code: 'GW2411',
    message: expect.stringContaining('Fedora Linux 41'),
  });
});
