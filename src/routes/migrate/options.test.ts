import { describe, expect, test } from 'vitest';
import { GodwitError } from '../../kernel/errors.ts';
import { OPTIONS } from './option-table.ts';
import { envNameOf, optionsJsonSchema, parseForCommand, parseOptions } from './options.ts';

const BOTH = { from: 'mongodb://a/', to: 'mongodb://b/' };

function refusal(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    expect(error).toBeInstanceOf(GodwitError);
    expect((error as GodwitError).code).toBe('GW1001');
    return (error as GodwitError).message;
  }
  throw new Error('nothing was refused');
}

describe('options of migrate', () => {
  test('have the documented defaults', () => {
    expect(parseOptions({ flags: BOTH })).toEqual({
      ...BOTH,
      run: 'default',
      state: '.godwit',
      include: [],
      exclude: [],
      rename: [],
      compress: 'none',
      mediumTool: 'godwit',
      cutover: 'manual',
      fenceWholeCluster: false,
      entries: [],
      maxStallSeconds: 10,
      lanes: 2,
      applyLanes: 4,
      chunkMb: 128,
      throttle: 'auto',
      neighbourLatencyLimit: 1.25,
      retryForSeconds: 600,
      resync: false,
      withUsers: false,
    });
  });

  test('are the same from flags, environment and YAML', () => {
    const flags = {
      ...BOTH,
      include: ['shop,crm.*', 'app.orders'],
      entry: ['file:/etc/app.env#DATABASE_URL?format=env&to=mongodb://c/', 'webhook:https://ops.example/switch'],
      'webhook-secret-env': 'HOOK_KEY',
      'max-stall': '500ms',
      lanes: '3',
      'with-users': true,
      'confirm-after': '10m',
    };
    const yaml = {
      ...BOTH,
      include: ['shop', 'crm.*', 'app.orders'],
      entries: [
        { kind: 'file', path: '/etc/app.env', key: 'DATABASE_URL', format: 'env', to: 'mongodb://c/' },
        { kind: 'webhook', url: 'https://ops.example/switch', secretEnv: 'HOOK_KEY' },
      ],
      maxStall: 0.5,
      lanes: 3,
      withUsers: true,
      confirmAfter: 600,
    };
    const env = {
      GODWIT_FROM: BOTH.from,
      GODWIT_TO: BOTH.to,
      GODWIT_INCLUDE: 'shop, crm.*,app.orders',
      GODWIT_MAX_STALL: '0.5',
      GODWIT_LANES: '3',
      GODWIT_WITH_USERS: 'true',
      GODWIT_CONFIRM_AFTER: '600s',
    };
    const parsed = parseOptions({ flags });
    expect(parsed.entries).toEqual([
      { kind: 'file', path: '/etc/app.env', key: 'DATABASE_URL', format: 'env', to: 'mongodb://c/' },
      { kind: 'webhook', url: 'https://ops.example/switch', secretEnv: 'HOOK_KEY', timeoutSeconds: 5 },
    ]);
    expect(parseOptions({ yaml })).toEqual(parsed);
    expect(parseOptions({ env })).toEqual({ ...parsed, entries: [] });
  });

  test('a flag is stronger than the environment, which is stronger than YAML', () => {
    const env = { GODWIT_LANES: '5', GODWIT_APPLY_LANES: '6' };
    const parsed = parseOptions({ flags: { ...BOTH, lanes: '7' }, env, yaml: { lanes: 1, applyLanes: 1, chunkMb: 9 } });
    expect([parsed.lanes, parsed.applyLanes, parsed.chunkMb]).toEqual([7, 6, 9]);
  });

  test.each([
    [
      { flags: { to: 'mongodb://b/' } },
      '--from is missing; give --from, GODWIT_FROM, or `from:` in the file of --config',
    ],
    [{ flags: { ...BOTH, lanes: '0' } }, '--lanes: 0 is not valid; accepted: a whole number from 1 to 64'],
    [{ flags: { ...BOTH, lanes: 'many' } }, '--lanes: many is not valid; accepted: a whole number from 1 to 64'],
    [
      { flags: BOTH, env: { GODWIT_RETRY_FOR: 'soon' } },
      'GODWIT_RETRY_FOR: soon is not valid; accepted: a duration from 0s to 168h',
    ],
    [
      { flags: { ...BOTH, from: 'mysql://u:secret@h/' } },
      '--from: mysql://u:***@h/ is not valid; accepted: a connection string, mongodb://… or mongodb+srv://…',
    ],
    [{ yaml: { ...BOTH, maxStal: '1s' } }, '`maxStal` is not an option; did you mean `maxStall`?'],
    [{ yaml: { ...BOTH, 'max-stall': '1s' } }, '`max-stall` is not an option; did you mean `maxStall`?'],
    [{ yaml: { ...BOTH, colour: 'red' } }, '`colour` is not an option'],
    [{ yaml: ['from'] }, 'The configuration file must hold names with values, such as `from: mongodb://…`'],
    [{ flags: { ...BOTH, fence: 'entry' } }, '--fence entry needs an --entry that can hold requests'],
    [{ flags: { ...BOTH, run: '../x' } }, '--run: ../x is not valid; accepted: letters, digits, ., _, -; at most 64'],
  ])('refuses %j', (sources, message) => {
    expect(refusal(() => parseOptions(sources))).toBe(message);
  });

  test.each(['a=b.c', 'a.b=c', 'a', 'a==b'])('refuses the renaming %s', (rename) => {
    expect(refusal(() => parseOptions({ flags: { ...BOTH, rename } }))).toContain('--rename');
  });

  test.each(['file:x', 'file:x#k?colour=red', 'ftp:x', 'webhook:ftp://x'])('refuses the entry %s', (entry) => {
    expect(refusal(() => parseOptions({ flags: { ...BOTH, entry: [entry] } }))).toContain('--entry');
  });

  test('a command to a live run needs no clusters', () => {
    expect(parseForCommand({ flags: { run: 'shop' } })).toEqual({ state: '.godwit', run: 'shop' });
    expect(parseForCommand({ flags: { ...BOTH, run: 'shop' } })).toMatchObject({ ...BOTH, run: 'shop', lanes: 2 });
  });
});

test('the table is sound: names are unique and every option is in the JSON Schema', () => {
  for (const names of [OPTIONS.map((o) => o.key), OPTIONS.map((o) => o.flag), OPTIONS.map(envNameOf)]) {
    expect(new Set(names).size).toBe(OPTIONS.length);
  }
  const schema = optionsJsonSchema() as { properties: Record<string, unknown> };
  expect(Object.keys(schema.properties)).toEqual(OPTIONS.map((option) => option.key));
  expect(schema.properties.lanes).toEqual({
    type: 'integer',
    minimum: 1,
    maximum: 64,
    default: 2,
    description: 'Connections that copy at once',
  });
});
