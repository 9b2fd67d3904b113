import { describe, expect, test } from 'vitest';
import { GodwitError } from '../kernel/errors.ts';
import type { RelocateRoute } from '../routes/relocate/api.ts';
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
  relocate: Partial<RelocateRoute> = {},
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
    loadProtect: () => import('../routes/protect/index.ts'),
    loadAdapt: () => Promise.reject(new Error('another part')),
    loadRegistry: () => Promise.reject(new Error('another route')),
    loadRehearse: () => Promise.reject(new Error('another route')),
    loadRelocate: async () => relocate as RelocateRoute,
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
    'unfreeze',
    'cancel',
  ])('help of migrate %s has an example', async (name) => {
    const { code, out } = await godwit(['migrate', name, '--help']);
    expect(code).toBe(0);
    expect(out).toContain(`Example:\n  godwit migrate ${name} `);
  });

  test('relocate refuses a rate and a directory that are none', async () => {
    const words = ['relocate', 'agent', '--to', 'unix:/x', '--map', '/a=/b'];
    const rated = await godwit([...words, '--once', '--max-rate', '2 apples']);
    expect([rated.code, rated.err]).toEqual([2, expect.stringContaining('--max-rate 2 apples is not valid')]);
    const relative = await godwit([...words.slice(0, -1), 'a=/b', '--once']);
    expect(relative.err).toContain('--map a=/b is not valid');
  });

  test('what ends services wants the name of the move as consent, and asks nothing of the agent without it', async () => {
    const asked: string[] = [];
    const moved = {
      version: 1,
      name: 'shop',
      phase: 'running',
      holds: 'target',
      since: '2026-01-01T00:00:00Z',
      isRunning: true,
      target: 'new:7070',
      roundCount: 3,
      turn: 1,
    } as const;
    const route = {
      status: async () => moved,
      cutover: async () => {
        asked.push('cutover');
        return { version: 1, command: 'cutover', outcome: 'running', steps: [] } as const;
      },
      commit: async () => {
        asked.push('commit');
        return moved;
      },
      rollback: async () => {
        asked.push('rollback');
        return moved;
      },
    };
    const flags = { cutover: '--yes-stop', commit: '--yes-end', rollback: '--yes-discard' } as const;
    for (const [command, flag] of Object.entries(flags)) {
      for (const given of [[], [flag, 'other']]) {
        const refused = await godwit(['relocate', command, ...given], {}, {}, route);
        expect([refused.code, refused.err]).toEqual([2, expect.stringContaining(`${flag} shop`)]);
      }
      expect((await godwit(['relocate', command, flag, 'shop'], {}, {}, route)).code).toBe(0);
    }
    expect(asked).toEqual(['cutover', 'commit', 'rollback']);
    expect((await godwit(['relocate', 'cutover', '--dry-run'], {}, {}, route)).code).toBe(0);
  });

  test.each(['primary', 'auxiliary', 'dr', 'status', 'promote', 'failback', 'verify', 'rewind', 'key'])(
    'help of protect %s has an example',
    async (name) => {
      const { code, out } = await godwit(['protect', name, '--help']);
      expect(code).toBe(0);
      expect(out).toContain(`Example:\n  godwit protect ${name} `);
    },
  );

  test('protect wants a key, or to hear that there shall be none; a promotion wants to be confirmed', async () => {
    const words = ['protect', 'auxiliary', '--volume', 'v', '--size', '8MiB', '--state', '/x', '--listen', ':1'];
    expect((await godwit(words)).err).toContain('--insecure');
    const sized = await godwit([...words, '--insecure', '--ring', '2 apples']);
    expect([sized.code, sized.err]).toEqual([2, expect.stringContaining('--ring 2 apples is not valid')]);
    const promoted = await godwit(['protect', 'promote', '--state', '/x']);
    expect([promoted.code, promoted.err]).toEqual([2, expect.stringContaining('--yes')]);
    const back = await godwit(['protect', 'failback', '--state', '/x']);
    expect([back.code, back.err]).toEqual([2, expect.stringContaining('--yes')]);
  });

  test.each([
    [[], 'Name the moment'],
    [['--at', '2026-01-31T12:00:00Z', '--sequence', '5'], 'Name the moment'],
    [['--at', 'yesterday'], '--at yesterday is not valid'],
    [['--at', '2026-13-31T12:00:00Z'], 'is not valid'],
    [['--sequence', '-1'], '--sequence -1 is not valid'],
  ])('protect rewind with %j is refused: %s', async (words, why) => {
    const { code, err } = await godwit(['protect', 'rewind', '--state', '/x', '--into', '/y', ...words]);
    expect([code, err]).toEqual([2, expect.stringContaining(why)]);
  });

  test.each(['agent', 'receive', 'verify', 'status', 'cutover', 'commit', 'rollback'])(
    'help of relocate %s has an example',
    async (name) => {
      const { code, out } = await godwit(['relocate', name, '--help']);
      expect(code).toBe(0);
      expect(out).toContain(`Example:\n  godwit relocate ${name} `);
    },
  );

  test.each([
    ['proven', 0],
    ['not-proven', 6],
    ['dry-run', 0],
  ] as const)('a copy that is %s ends with %i', async (outcome, code) => {
    const result = {
      version: 1,
      command: 'agent',
      outcome,
      roundCount: 0,
      rounds: [],
      differences: [],
      differenceCount: 0,
      notes: { socket: { count: 1, examples: ['run/s'] } },
      wireBytes: 0,
      durationSeconds: 1,
    } as const;
    const answer = await godwit(
      ['relocate', 'agent', '--to', 'unix:/x', '--map', '/a=/b', '--map', '/c=/d', '--once', '--json'],
      {},
      {},
      {
        agent: async (options) => {
          expect(options).toMatchObject({
            mappings: [
              { source: '/a', target: '/b' },
              { source: '/c', target: '/d' },
            ],
          });
          return result;
        },
      },
    );
    expect([answer.code, JSON.parse(answer.out)]).toEqual([code, { type: 'result', result }]);
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
    [Object.assign(new Error('ENOENT: open /x'), { code: 'ENOENT', path: '/x' }), 2, 'GW1010'],
    [Object.assign(new Error('EADDRINUSE'), { code: 'EADDRINUSE', address: '1.2.3.4' }), 2, 'GW1010'],
    [Object.assign(new Error('EINVAL'), { code: 'EINVAL' }), 70, 'GW9001'],
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
