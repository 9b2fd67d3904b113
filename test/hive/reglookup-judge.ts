/** reglookup reads a hive: its lines are taken apart and compared with a tree, descriptors and class names included. */
import { isLatin1 } from '../../src/adapters/windows-registry/names.ts';
import { type Hive, type HiveKey, type HiveValue, REG } from '../../src/adapters/windows-registry/tree.ts';
import { runCommand } from '../servers/run-command.ts';

const TYPE_NAMES = [
  'NONE',
  'SZ',
  'EXPAND_SZ',
  'BINARY',
  'DWORD',
  'DWORD_BE',
  'LINK',
  'MULTI_SZ',
  'RSRC_LIST',
  'RSRC_DESC',
  'RSRC_REQ_LIST',
  'QWORD',
] as const;

/** Undefined when reglookup read exactly this tree, else the first thing it read otherwise. */
export async function reglookupDiffers(
  file: string,
  { root, minorVersion }: Pick<Hive, 'root' | 'minorVersion'>,
): Promise<string | undefined> {
  const { code, stdout, stderr } = await runCommand('reglookup', ['-s', file]);
  if (code !== 0) return `reglookup ended with ${code}: ${stderr.slice(-500)}`;
  const [, ...lines] = stdout.trimEnd().split('\n');
  const expected = [...expectations(root, '', minorVersion)];
  for (const [index, expectation] of expected.entries()) {
    const fields = lines[index]?.split(',') ?? [];
    const wrong = expectation(fields);
    if (wrong !== undefined) return `${wrong}: ${lines[index]?.slice(0, 300)}`;
  }
  return lines.length === expected.length ? undefined : `${lines.length} lines in place of ${expected.length}`;
}

type Expectation = (fields: readonly string[]) => string | undefined;

function* expectations(key: HiveKey, path: string, minorVersion: number): Generator<Expectation> {
  const here = path === '' ? '/' : path;
  yield ([at, type, , time, owner, group, , acl, className = '']) => {
    if (unquote(at) !== here || type !== 'KEY') return `not the key ${here}`;
    // It goes by floating point: the last milliseconds of a second can be the next one.
    if (time !== timeText(key.timestamp) && time !== timeText(key.timestamp + 20_000n))
      return `time is not ${timeText(key.timestamp)}`;
    if (key.security !== undefined) {
      const [ownerSid, groupSid, ...entries] = sidsOf(Buffer.from(key.security));
      if (owner !== ownerSid || group !== groupSid) return `owner is not ${ownerSid}, group ${groupSid}`;
      const sids = (acl ?? '').split('|').map((entry) => entry.split(':')[0]);
      if (sids.join() !== entries.join()) return `entries are not for ${entries}`;
    } else {
      // Without a descriptor it ends the line there, class name and all.
      return owner ? 'there is no owner' : undefined;
    }
    const asText = key.className === undefined ? '' : Buffer.from(key.className).toString('utf16le');
    const asBytes = Buffer.from(key.className ?? '').toString('latin1');
    const read = unquote(className);
    return read === asText || read === asBytes ? undefined : `class is not ${JSON.stringify(asText)}`;
  };
  for (const value of key.values) {
    yield ([at, type, data]) => {
      if (unquote(at) !== `${here}/${rawName(value.name)}`) return `not the value ${here}/${value.name}`;
      const name = TYPE_NAMES[value.type] ?? `0x${value.type.toString(16).toUpperCase().padStart(8, '0')}`;
      if (type !== name) return `type is not ${name}`;
      // It knows large data since 1.5 only; hivex judges that of 1.4.
      if (minorVersion === 4 && value.data.length > 16344) return undefined;
      return renderings(value).includes(data ?? '') || renderings(value).includes(unquote(data))
        ? undefined
        : `data is not ${renderings(value)[0]?.slice(0, 200)}`;
    };
  }
  for (const child of key.subkeys) yield* expectations(child, `${path}/${rawName(child.name)}`, minorVersion);
}

/** How reglookup may show data: all of its bytes, or what they mean by their type. */
function renderings({ type, data }: HiveValue): readonly string[] {
  const bytes = Buffer.from(data);
  if (bytes.length === 0) return ['(null)', ''];
  const all = [bytes.toString('latin1')];
  const text = bytes.toString('utf16le');
  if (type === REG.sz || type === REG.expandSz || type === REG.link) all.push(text.replace(/\0+$/, ''));
  if (type === REG.multiSz) all.push(text.replace(/\0+$/, '').replaceAll('\0', '|'));
  // Of numbers that are too long it shows the beginning; hivex sees the rest.
  const number = (value: bigint, digits: number) => `0x${value.toString(16).toUpperCase().padStart(digits, '0')}`;
  if (type === REG.dword && bytes.length >= 4) all.push(number(BigInt(bytes.readUInt32LE()), 8));
  if (type === REG.dwordBigEndian && bytes.length >= 4) all.push(number(BigInt(bytes.readUInt32BE()), 8));
  if (type === REG.qword && bytes.length >= 8) all.push(number(bytes.readBigUInt64LE(), 16));
  return all;
}

function unquote(text = ''): string {
  return text.replace(/%([0-9A-F]{2})/g, (_, byte: string) => String.fromCharCode(Number.parseInt(byte, 16)));
}

/** As its bytes: Latin-1 where they are, else UTF-16. */
function rawName(name: string): string {
  return isLatin1(name) ? name : Buffer.from(name, 'utf16le').toString('latin1');
}

function timeText(timestamp: bigint): string {
  const seconds = Number(timestamp / 10_000_000n) - 11_644_473_600;
  return new Date(seconds * 1000).toISOString().slice(0, 19).replace('T', ' ');
}

/** Owner, group, and whom the entries of the list are for. */
function sidsOf(descriptor: Buffer): readonly string[] {
  const sid = (at: number) => {
    const parts = Array.from({ length: descriptor[at + 1]! }, (_, index) =>
      descriptor.readUInt32LE(at + 8 + 4 * index),
    );
    return `S-1-${descriptor[at + 7]}-${parts.join('-')}`;
  };
  const list = descriptor.readUInt32LE(16);
  const sids = [sid(descriptor.readUInt32LE(4)), sid(descriptor.readUInt32LE(8))];
  let at = list + 8;
  for (let left = descriptor.readUInt16LE(list + 4); left > 0; left -= 1) {
    sids.push(sid(at + 8));
    at += descriptor.readUInt16LE(at + 2);
  }
  return sids;
}
