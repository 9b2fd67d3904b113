import { describe, expect, test } from 'vitest';
import { GodwitError } from '../kernel/errors.ts';
import type { MigrateRoute } from './migrate-route.ts';
import { runProgram } from './program.ts';
import type { RemodelRoute } from './remodel-route.ts';
import { stopOnSignals } from './signals.ts';

const BOTH = ['--from', 'mongodb://u:secret@a/', '--to', 'mongodb://b/'];
const RESULT = {
  version: 1,
  command: 'x',
  run: 'default',
  phase: 'following',
  already: false,
  message: 'well',
} as const;

async function godwit(
  words: readonly string[],
  route: Partial<MigrateRoute> = {},
  remodel: Partial<RemodelRoute> = {},
) {
  const said = { out: '', err: '' };
  const code = await runProgram(words, {
    io: {
      out: (text) => {
        said.out += text;
      },
      err: (text) => {
        said.err += text;
      },
      env: {},
      isTerminal: false,
      isErrTerminal: false,
      size: () => ({ columns: 80, rows: 24 }),
    },
    signal: new AbortController().signal,
    version: '1.2.3',
    loadMigrate: async () => route as MigrateRoute,
    loadRemodel: async () => remodel as RemodelRoute,
  });
  return { code, ...said };
}

describe('godwit', () => {
  test('tells its version and helps', async () => {
    expect(await godwit(['--version'])).toEqual({ code: 0, out: '1.2.3\n', err: '' });
    expect((await godwit(['migrate', '--help'])).code).toBe(0);
    expect(await godwit(['migrate'])).toMatchObject({ code: 2, out: '' });
  });

  test.each([
    'check',
    'run',
    'status',
    'pause',
    'resume',
    'verify',
    'cutover',
    'rollback',
    'confirm',
    'cleanup',
    'cancel',
  ])('help of migrate %s has an example', async (name) => {
    const { code, out } = await godwit(['migrate', name, '--help']);
    expect(code).toBe(0);
    expect(out).toContain(`Example:\n  godwit migrate ${name} `);
  });

  test.each(['relocate', 'protect'])('%s says that it is not there yet', async (name) => {
    const { code, out, err } = await godwit([name, 'anything', '--flag']);
    expect([code, out]).toEqual([2, '']);
    expect(err).toMatch(/^godwit \w+ is not there yet in version 1\.2\.3; it will .+\n$/);
  });

  test('errors are words on stderr, or one object on stdout', async () => {
    const words = await godwit(['migrate', 'run', ...BOTH, '--lanes', '0']);
    expect(words).toMatchObject({ code: 2, out: '' });
    expect(words.err).toContain('GW1001 An option is not valid\n  --lanes: 0 is not valid');
    expect(words.err).toContain('What to do: ');
    const json = await godwit(['migrate', 'run', ...BOTH, '--lane', '2', '--json']);
    expect(json).toMatchObject({ code: 2, err: '' });
    expect(JSON.parse(json.out)).toEqual({
      version: 1,
      error: {
        code: 'GW1001',
        message: "unknown option '--lane' (Did you mean --lanes?)",
        hint: expect.any(String),
        details: {},
      },
    });
  });

  test.each([
    [new GodwitError('GW7002', 'a write slipped by'), 7, 'GW7002'],
    [new GodwitError('GW8001', 'stopped'), 130, 'GW8001'],
    [new DOMException('x', 'AbortError'), 130, 'GW8001'],
    [new TypeError('oops'), 70, 'GW9001'],
  ])('%s ends with its class', async (error, code, name) => {
    const answer = await godwit(['migrate', 'pause', '--json'], { command: () => Promise.reject(error) });
    expect(answer.code).toBe(code);
    expect(JSON.parse(answer.out).error.code).toBe(name);
  });

  test('run in JSON is a stream that ends with the result', async () => {
    const event = { type: 'event', at: '2026-03-01T00:00:00Z', kind: 'note', data: { a: 1 } } as const;
    const answer = await godwit(['migrate', 'run', ...BOTH, '--until', 'copied', '--json'], {
      run: async (options, hooks) => {
        expect(options).toMatchObject({ until: 'copied', lanes: 2 });
        hooks.onEvent(event);
        return RESULT;
      },
    });
    expect(
      answer.out
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line)),
    ).toEqual([event, { type: 'result', result: RESULT }]);
  });

  test('check that bars the migration is 3, differences are 6', async () => {
    const plan = { collections: 0, documents: 0, bytes: 0, fence: 'roles', fenceReason: '', readFrom: '' } as const;
    const findings = [{ severity: 'error', check: 'x', message: 'no' }] as const;
    const check = await godwit(['migrate', 'check', ...BOTH], {
      check: async () => ({ version: 1, ok: false, findings, plan }),
    });
    expect(check.code).toBe(3);
    const drift = [{ unit: 'a.b', kind: 'extra', key: '1' }] as const;
    const verify = await godwit(['migrate', 'verify', '--repair'], {
      command: async (name, options, args) => {
        expect([name, options, args]).toEqual(['verify', { state: '.godwit', run: 'default' }, { repair: true }]);
        return { ...RESULT, drift };
      },
    });
    expect(verify.code).toBe(6);
  });

  test('cleanup hands its consent over', async () => {
    let given: unknown;
    const command: MigrateRoute['command'] = async (...words) => {
      given = words[2];
      return RESULT;
    };
    expect((await godwit(['migrate', 'cleanup', '--yes-delete', 'shop'], { command })).code).toBe(0);
    expect(given).toEqual({ yesDelete: 'shop' });
  });

  test('status without --run lists the runs; of an empty directory it is GW1002', async () => {
    const none = await godwit(['migrate', 'status', '--json'], { runs: () => [] });
    expect([none.code, JSON.parse(none.out).error.code]).toEqual([2, 'GW1002']);
    const status = (_state: string, run: string) => ({ run }) as never;
    const two = await godwit(['migrate', 'status', '--json'], { runs: () => ['a', 'b'], status });
    expect(JSON.parse(two.out)).toEqual({ version: 1, runs: [{ run: 'a' }, { run: 'b' }] });
    const one = await godwit(['migrate', 'status', '--json'], { runs: () => ['a'], status });
    expect(JSON.parse(one.out)).toEqual({ run: 'a' });
  });
});

test('the first signal asks, the second one exits', () => {
  const listeners = new Map<string, () => void>();
  const exits: number[] = [];
  const said: string[] = [];
  const source = { on: (name: string, listener: () => void) => listeners.set(name, listener) };
  const stop = stopOnSignals(
    source,
    (text) => said.push(text),
    (code) => exits.push(code),
  );
  listeners.get('SIGTERM')?.();
  expect([stop.signal.aborted, (stop.signal.reason as GodwitError).code, exits, said.length]).toEqual([
    true,
    'GW8001',
    [],
    1,
  ]);
  listeners.get('SIGINT')?.();
  expect(exits).toEqual([130]);
});
