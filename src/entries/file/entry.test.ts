import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type FileEntryOptions, openFileEntry } from './entry.ts';

const TARGET = { hosts: ['n1:1', 'n2:2'], setName: 'new' };
const OLD = 'mongodb://app:s3cret@old:27017/shop?replicaSet=old';
const NEW = 'mongodb://app:s3cret@n1:1,n2:2/shop?replicaSet=new';
const never = new AbortController().signal;

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'godwit-entry-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

/** Memory as the run state keeps it: JSON. `dies` lets the n-th write be the last thing that happens. */
function memoryOf(values = new Map<string, string>(), dies?: { after: number }) {
  let writes = 0;
  return {
    values,
    get: <T>(key: string): T | undefined => {
      const text = values.get(key);
      return text === undefined ? undefined : (JSON.parse(text) as T);
    },
    set: (key: string, value: unknown) => {
      writes += 1;
      if (dies && writes > dies.after) throw new Error('killed');
      values.set(key, JSON.stringify(value));
    },
  };
}

function entryOf(options: Partial<FileEntryOptions> & { path: string; key: string }, memory = memoryOf()) {
  return { memory, entry: openFileEntry(options, { targetAddress: TARGET, memory }) };
}

const FILES: [name: string, key: string, before: string, after: string][] = [
  [
    'tabs.json',
    'db.uri',
    `{\r\n\t"a": [1,  2],\r\n\t"db": { "uri": "${OLD}" , "x": 1.0 }\r\n}`,
    `{\r\n\t"a": [1,  2],\r\n\t"db": { "uri": "${NEW}" , "x": 1.0 }\r\n}`,
  ],
  ['dots.json', 'db.uri', `{"db.uri":"${OLD.replaceAll('/', '\\/')}"}\n`, `{"db.uri":"${NEW}"}\n`],
  [
    'list.json',
    'stores.1.uri',
    `{"stores":[{"uri":"x"},{"uri":"${OLD}"}]}`,
    `{"stores":[{"uri":"x"},{"uri":"${NEW}"}]}`,
  ],
  ['mark.json', 'uri', `\ufeff{"uri":"${OLD}"}`, `\ufeff{"uri":"${NEW}"}`],
  [
    'plain.yaml',
    'db.uri',
    `# head\ndb:\n    uri:   ${OLD}   # why\n    n: 010\n\n\nz: "q"`,
    `# head\ndb:\n    uri:   '${NEW}'   # why\n    n: 010\n\n\nz: "q"`,
  ],
  ['quoted.yml', 'uri', `uri: &u "${OLD}"\nb: {  c: *u }\n`, `uri: &u "${NEW}"\nb: {  c: *u }\n`],
  ['two.yaml', 'b', `a: 1\n---\nb: '${OLD}'\n`, `a: 1\n---\nb: '${NEW}'\n`],
  [
    '.env',
    'DATABASE_URL',
    `# c\nexport DATABASE_URL="${OLD}" # x\nB='1'\n`,
    `# c\nexport DATABASE_URL="${NEW}" # x\nB='1'\n`,
  ],
  ['bare.env', 'DB', `A=1\r\nDB = ${OLD}  # c\r\nDBX=2`, `A=1\r\nDB = ${NEW}  # c\r\nDBX=2`],
  ['single.env', 'DB', `DB='${OLD}'`, `DB='${NEW}'`],
  [
    'placeholder.env',
    'DB',
    `DB="mongodb://\${U}:\${P}@old/x"\n`,
    `DB="mongodb://\${U}:\${P}@n1:1,n2:2/x?replicaSet=new"\n`,
  ],
];

describe('a value in a file', () => {
  test.each(FILES)('%s: goes to the target and back, byte by byte', async (name, key, before, after) => {
    const path = join(dir, name);
    writeFileSync(path, before);
    chmodSync(path, 0o640);
    const { entry, memory } = entryOf({ path, key });
    await entry.check(never);
    expect(readFileSync(path, 'utf8')).toBe(before);
    await entry.flip(never);
    await entry.flip(never);
    expect(readFileSync(path, 'utf8')).toBe(after);
    expect(statSync(path).mode & 0o777).toBe(0o640);
    expect(statSync(`${path}.godwit-backup`).mode & 0o777).toBe(0o600);
    await entry.check(never);
    expect([...memory.values.values()].join()).not.toMatch(/s3cret|mongodb/);
    await entry.unflip(never);
    await entry.unflip(never);
    expect(readFileSync(path, 'utf8')).toBe(before);
    expect(existsSync(`${path}.godwit-backup`)).toBe(false);
    // And once more: a second cutover after a rollback.
    await entry.flip(never);
    expect(readFileSync(path, 'utf8')).toBe(after);
  });

  test('what others write into the file meanwhile stays', async () => {
    const path = join(dir, 'a.env');
    writeFileSync(path, `DB=${OLD}\n`);
    const { entry } = entryOf({ path, key: 'DB' });
    await entry.flip(never);
    writeFileSync(path, `X=1\n${readFileSync(path, 'utf8')}Y=2\n`);
    await entry.unflip(never);
    expect(readFileSync(path, 'utf8')).toBe(`X=1\nDB=${OLD}\nY=2\n`);
  });

  test('a value that somebody else changed is left alone', async () => {
    const path = join(dir, 'a.env');
    writeFileSync(path, `DB=${OLD}\n`);
    const { entry } = entryOf({ path, key: 'DB' });
    await entry.flip(never);
    writeFileSync(path, 'DB=mongodb://third:1/\n');
    await expect(entry.unflip(never)).rejects.toMatchObject({ code: 'GW7005', message: /somebody else/ });
    await expect(entry.flip(never)).rejects.toMatchObject({ code: 'GW7005' });
    expect(readFileSync(path, 'utf8')).toBe('DB=mongodb://third:1/\n');
  });

  test('two values of one file keep their own backups', async () => {
    const path = join(dir, 'a.json');
    const before = JSON.stringify({ a: OLD, b: 'old:1' }, null, 2);
    writeFileSync(path, before);
    const { entry: a, memory } = entryOf({ path, key: 'a' });
    const { entry: b } = entryOf({ path, key: 'b' }, memory);
    await a.flip(never);
    await b.flip(never);
    expect(JSON.parse(readFileSync(path, 'utf8'))).toEqual({ a: NEW, b: 'n1:1,n2:2' });
    await a.unflip(never);
    await b.unflip(never);
    expect(readFileSync(path, 'utf8')).toBe(before);
  });

  test('a link stays a link, the real file is replaced', async () => {
    mkdirSync(join(dir, 'real'));
    writeFileSync(join(dir, 'real', 'a.env'), `DB=${OLD}\n`);
    symlinkSync('real/a.env', join(dir, 'link.env'));
    const { entry } = entryOf({ path: join(dir, 'link.env'), key: 'DB' });
    await entry.flip(never);
    expect(readlinkSync(join(dir, 'link.env'))).toBe('real/a.env');
    expect(readFileSync(join(dir, 'real', 'a.env'), 'utf8')).toBe(`DB=${NEW}\n`);
  });

  test('`to` is written as said, quoted where it must be', async () => {
    const path = join(dir, 'a.env');
    writeFileSync(path, 'DB=somewhere\n');
    const { entry } = entryOf({ path, key: 'DB', to: 'a b#c$d' });
    await entry.check(never);
    await entry.flip(never);
    expect(readFileSync(path, 'utf8')).toBe("DB='a b#c$d'\n");
    expect(execFileSync('sh', ['-c', `. ${path}; printf %s "$DB"`], { encoding: 'utf8' })).toBe('a b#c$d');
  });

  test('the backup can be let go of', async () => {
    const path = join(dir, 'a.env');
    writeFileSync(path, `DB=${OLD}\n`);
    const { entry } = entryOf({ path, key: 'DB' });
    await entry.flip(never);
    await entry.discard(never);
    await entry.discard(never);
    expect(existsSync(`${path}.godwit-backup`)).toBe(false);
    expect(readFileSync(path, 'utf8')).toBe(`DB=${NEW}\n`);
  });
});

describe('a crash between any two steps', () => {
  test.each([0, 1, 2])('memory writes that happened: %i', async (after) => {
    const path = join(dir, 'a.env');
    writeFileSync(path, `DB=${OLD}\n`);
    const values = new Map<string, string>();
    const dying = entryOf({ path, key: 'DB' }, memoryOf(values, { after })).entry;
    await dying
      .flip(never)
      .then(() => dying.unflip(never))
      .catch(() => undefined);
    const { entry } = entryOf({ path, key: 'DB' }, memoryOf(values));
    await entry.flip(never);
    expect(readFileSync(path, 'utf8')).toBe(`DB=${NEW}\n`);
    await entry.unflip(never);
    expect(readFileSync(path, 'utf8')).toBe(`DB=${OLD}\n`);
  });

  test("left-overs of a write that never ended are in nobody's way", async () => {
    const path = join(dir, 'a.env');
    writeFileSync(path, `DB=${OLD}\n`);
    writeFileSync(`${path}.godwit-tmp`, 'half');
    writeFileSync(`${path}.godwit-backup.godwit-tmp`, 'half');
    // A backup that the memory does not name was never used.
    writeFileSync(
      `${path}.godwit-backup`,
      JSON.stringify({ version: 1, values: { DB: { before: 'x', after: 'y', salt: 'z' } } }),
    );
    const { entry } = entryOf({ path, key: 'DB' });
    await entry.flip(never);
    await entry.unflip(never);
    expect(readFileSync(path, 'utf8')).toBe(`DB=${OLD}\n`);
  });

  test('a lost backup is said, not guessed', async () => {
    const path = join(dir, 'a.env');
    writeFileSync(path, `DB=${OLD}\n`);
    const { entry } = entryOf({ path, key: 'DB' });
    await entry.flip(never);
    unlinkSync(`${path}.godwit-backup`);
    await expect(entry.unflip(never)).rejects.toMatchObject({ code: 'GW7005', message: /backup/ });
  });
});

describe('check refuses', () => {
  const refuses = async (name: string, text: string | undefined, key: string, code: string, message: RegExp) => {
    const path = join(dir, name);
    if (text !== undefined) writeFileSync(path, text);
    const error = await entryOf({ path, key })
      .entry.check(never)
      .catch((e: unknown) => e);
    expect(error).toMatchObject({ code, message });
    expect(String((error as Error).message)).not.toContain('s3cret');
  };
  test('no file', () => refuses('a.env', undefined, 'DB', 'GW7005', /does not exist/));
  test('no key', () => refuses('a.env', 'X=1', 'DB', 'GW1001', /no key DB/));
  test('a key twice', () => refuses('a.env', `DB=${OLD}\nDB=${OLD}`, 'DB', 'GW1001', /2 times/));
  test('broken JSON', () => refuses('a.json', `{"a": "${OLD}"`, 'a', 'GW1001', /not valid JSON/));
  test('broken YAML', () => refuses('a.yaml', 'a: [', 'a', 'GW1001', /not valid YAML/));
  test('a number', () => refuses('a.yaml', 'a: 3', 'a', 'GW1001', /not hold a string/));
  test('an alias', () => refuses('a.yaml', `x: &x ${OLD}\na: *x`, 'a', 'GW1001', /alias/));
  test('a block', () => refuses('a.yaml', `a: |\n  ${OLD}\n`, 'a', 'GW1001', /one line/));
  test('several lines', () => refuses('a.env', 'A="x\ny"', 'A', 'GW1001', /several lines/));
  test('another kind of address', () => refuses('a.env', 'A=postgres://x/y', 'A', 'GW1001', /neither a MongoDB/));
  test('a file with other names', async () => {
    writeFileSync(join(dir, 'b.env'), `A=${OLD}`);
    linkSync(join(dir, 'b.env'), join(dir, 'a.env'));
    await refuses('a.env', undefined, 'A', 'GW7005', /hard links/);
  });
});
