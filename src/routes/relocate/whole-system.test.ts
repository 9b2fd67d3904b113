import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { mustBeAdaptable } from './whole-system.ts';

let source: string;
beforeEach(() => {
  source = mkdtempSync(join(tmpdir(), 'godwit-whole-'));
});
afterEach(() => rmSync(source, { recursive: true }));

/** A system as far as it is looked at, with links as distributions have them. */
function makeSystem(osRelease: string | undefined): void {
  mkdirSync(join(source, 'usr/lib/systemd'), { recursive: true });
  mkdirSync(join(source, 'usr/sbin'));
  mkdirSync(join(source, 'etc'));
  writeFileSync(join(source, 'usr/lib/systemd/systemd'), '');
  symlinkSync('usr/sbin', join(source, 'sbin'));
  symlinkSync('../lib/systemd/systemd', join(source, 'usr/sbin/init'));
  if (osRelease === undefined) return;
  writeFileSync(join(source, 'usr/lib/os-release'), osRelease);
  symlinkSync('../usr/lib/os-release', join(source, 'etc/os-release'));
}

const refused = (target: string) => () => mustBeAdaptable([{ source, target }]);

test('another distribution is refused by its name when it is moved as a whole', () => {
  makeSystem('ID=fedora\nPRETTY_NAME="Fedora Linux 40"\n');
  expect(refused('/')).toThrow(
    expect.objectContaining({ code: 'GW2411', message: expect.stringContaining('Fedora Linux 40') }),
  );
  expect(refused('/srv/old')).not.toThrow();
});

test('a system that does not say what it is, is refused', () => {
  makeSystem(undefined);
  expect(refused('/')).toThrow(expect.objectContaining({ code: 'GW2411' }));
});

test('Debian and Ubuntu are moved as a whole', () => {
  makeSystem('ID=debian\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n');
  expect(refused('/')).not.toThrow();
});

test('directories are moved of any system', () => {
  mkdirSync(join(source, 'etc'));
  writeFileSync(join(source, 'etc/os-release'), 'ID=fedora\n');
  expect(refused('/')).not.toThrow();
});
