/**
 * What a merged SYSTEM hive must hold, worked out another way than the merge
 * does: every hive as a flat table of keys, and for each key of the result one
 * rule that says whose it is.
 */
import type { HiveKey, HiveValue } from '../../src/adapters/windows-registry/tree.ts';
import type { RandomPair } from './random-system.ts';

type Table = Map<string, { readonly key: HiveKey; readonly values: Map<string, HiveValue> }>;

const FAMILIES =
  /^(?:(?:DRIVERDATABASE|MOUNTEDDEVICES|HARDWARECONFIG)|SET\\(?:ENUM|CONTROL\\(?:CLASS|DEVICECLASSES|CRITICALDEVICEDATABASE)))(?=\\|$)/;
const TOOLS = ['VMTOOLS', 'PRL_STRG', 'RHELSCSI', 'VBOXGUEST', 'QEMU-GA'];

/** Everything wrong with a result; empty when it is as it must be. */
export function wrongWith(result: HiveKey, { source, target, files }: RandomPair): readonly string[] {
  const wrong: string[] = [];
  const [ours, theirs] = [tableOf(source.root), tableOf(target.root)];
  const adapted = new Set(['Current', 'Default'].map((name) => setName(ours, name)).filter((name) => ours.has(name)));
  const targetSet = setName(theirs, 'Current');
  const inUse = namesInUse(theirs, targetSet);
  const isTheirs = (service: string, set: string) => {
    const entry = theirs.get(`${targetSet}\\SERVICES\\${service}`);
    const [type, start] = [number(entry?.values.get('TYPE')), number(entry?.values.get('START'))];
    if (entry === undefined || (type !== 1 && type !== 2) || !files.has(`${service}.SYS`)) return false;
    return start === 0 || (inUse.has(service) && !ours.has(`${set}\\SERVICES\\${service}`));
  };
  /** Whose key it is, and where it stands there. */
  const originOf = (path: string): { readonly table: Table; readonly at: string } => {
    const set = path.split('\\')[0]!;
    const general = adapted.has(set) ? path.replace(set, 'SET') : path;
    const family = FAMILIES.exec(general)?.[0];
    if (family !== undefined && theirs.has(inSet(family, targetSet))) {
      return { table: theirs, at: inSet(general, targetSet) };
    }
    const service = /^SET\\SERVICES\\([^\\]+)/.exec(general)?.[1];
    if (service !== undefined && isTheirs(service, set)) return { table: theirs, at: inSet(general, targetSet) };
    return { table: ours, at: path };
  };
  const found = tableOf(result);
  for (const [path, { key, values }] of found) {
    const { table, at } = originOf(path);
    const origin = table.get(at);
    if (origin === undefined) {
      wrong.push(`${path} comes from nowhere`);
      continue;
    }
    if (key.timestamp !== origin.key.timestamp || !same(key.security, origin.key.security))
      wrong.push(`${path} is another key`);
    const set = path.split('\\')[0]!;
    for (const [name, value] of origin.values) {
      const expected = adapted.has(set) ? expectedValue(path, name, value, { found, theirs, set, targetSet }) : value;
      const actual = values.get(name);
      const isRight =
        expected === undefined
          ? actual === undefined
          : actual?.type === expected.type && same(actual.data, expected.data);
      if (!isRight) wrong.push(`${path} ${name}: ${actual && Buffer.from(actual.data).toString('hex')}`);
    }
    for (const name of values.keys()) if (!origin.values.has(name)) wrong.push(`${path} ${name} is new`);
  }
  for (const path of [...ours.keys()])
    if (originOf(path).table === ours && !found.has(path)) wrong.push(`${path} is lost`);
  const landing = [...adapted, ''];
  for (const path of theirs.keys()) {
    for (const set of landing) {
      const to = path.startsWith(`${targetSet}\\`) && set !== '' ? path.replace(targetSet, set) : path;
      const { table, at } = originOf(to);
      if (table === theirs && at === path && !found.has(to)) wrong.push(`${to} was not taken`);
    }
  }
  return wrong;
}

interface Places {
  readonly found: Table;
  readonly theirs: Table;
  readonly set: string;
  readonly targetSet: string;
}

/** Names of other keys may have these letters, too. */
function inSet(general: string, set: string): string {
  return general.replace(/^SET(?=\\|$)/, set);
}

/** A value as it must be in the result: filters without the dead, tools switched off. */
function expectedValue(path: string, name: string, value: HiveValue, places: Places): HiveValue | undefined {
  const { found, theirs, set, targetSet } = places;
  const isFilter =
    /FILTERS$/.test(name) && (path.startsWith(`${set}\\ENUM`) || path.startsWith(`${set}\\CONTROL\\CLASS`));
  if (isFilter) {
    const names = texts(value);
    const alive = names.filter((one) => {
      const start = found.get(`${set}\\SERVICES\\${one.toUpperCase()}`)?.values.get('START');
      return start !== undefined && number(start) !== 4;
    });
    if (alive.length === names.length) return value;
    return alive.length === 0 ? undefined : { ...value, data: Buffer.from(`${alive.join('\0')}\0\0`, 'utf16le') };
  }
  const tool = /\\SERVICES\\([^\\]+)$/.exec(path)?.[1];
  if (tool !== undefined && TOOLS.includes(tool) && name === 'START') {
    const atTarget = number(theirs.get(`${targetSet}\\SERVICES\\${tool}`)?.values.get('START'));
    if (atTarget === undefined || atTarget === 4) return { ...value, data: Buffer.from([4, 0, 0, 0]) };
  }
  return value;
}

function tableOf(root: HiveKey): Table {
  const table: Table = new Map();
  const walk = (key: HiveKey, path: string) => {
    table.set(path, { key, values: new Map(key.values.map((value) => [value.name.toUpperCase(), value])) });
    for (const child of key.subkeys)
      walk(child, path === '' ? child.name.toUpperCase() : `${path}\\${child.name.toUpperCase()}`);
  };
  walk(root, '');
  return table;
}

function setName(table: Table, value: string): string {
  return `CONTROLSET00${number(table.get('SELECT')?.values.get(value.toUpperCase()))}`;
}

function namesInUse(table: Table, set: string): ReadonlySet<string> {
  const names = new Set<string>();
  for (const [path, { values }] of table) {
    if (!path.startsWith(`${set}\\ENUM`) && !path.startsWith(`${set}\\CONTROL\\CLASS`)) continue;
    for (const name of ['SERVICE', 'UPPERFILTERS', 'LOWERFILTERS']) {
      for (const text of texts(values.get(name))) names.add(text.toUpperCase());
    }
  }
  return names;
}

function texts(value: HiveValue | undefined): readonly string[] {
  return Buffer.from(value?.data ?? '')
    .toString('utf16le')
    .split('\0')
    .filter(Boolean);
}

function number(value: HiveValue | undefined): number | undefined {
  return value === undefined ? undefined : Buffer.from(value.data).readUInt32LE();
}

function same(a: Uint8Array | undefined, b: Uint8Array | undefined): boolean {
  return Buffer.compare(a ?? Buffer.alloc(0), b ?? Buffer.alloc(0)) === 0;
}
