import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { runProgram } from '../../src/cli/program.ts';
import { runAuxiliary } from '../../src/routes/protect/index.ts';
import { pickFreePort } from '../servers/ports.ts';
import { waitFor } from '../servers/wait-for.ts';

const ESCAPE = '\u001b[';

async function world() {
  const dir = mkdtempSync(join(tmpdir(), 'godwit-watch-'));
  const port = await pickFreePort();
  const stop = new AbortController();
  const ended: Promise<void>[] = [];
  let listens = false;
  const start = (create: boolean, signal: AbortSignal) => {
    const options = {
      ...{ volume: 'v', size: 1 << 20, ring: 4 << 20, leaseMs: 1000, state: join(dir, 'state'), key: undefined },
      ...{ create, replace: false, metrics: undefined, listen: { host: '127.0.0.1', port } },
      area: undefined,
    };
    const onEvent = ({ kind }: { readonly kind: string }) => {
      listens ||= kind === 'listening';
    };
    const end = runAuxiliary(options, { signal, onEvent });
    ended.push(end);
    return end;
  };
  const watch = (words: readonly string[], isTerminal: boolean, env: Readonly<Record<string, string>>) => {
    const shown = { out: '', err: '' };
    const code = runProgram(['protect', 'status', '--state', join(dir, 'state'), ...words], {
      io: {
        out: (text) => {
          shown.out += text;
        },
        err: (text) => {
          shown.err += text;
        },
        ...{ env, isTerminal, isErrTerminal: isTerminal, size: () => ({ columns: 80, rows: 24 }) },
      },
      ...{ signal: stop.signal, version: '1' },
      loadProtect: () => import('../../src/routes/protect/index.ts'),
      loadMigrate: () => Promise.reject(new Error('another route')),
      loadRemodel: () => Promise.reject(new Error('another route')),
      loadAdapt: () => Promise.reject(new Error('another route')),
      loadRegistry: () => Promise.reject(new Error('another route')),
      loadRelocate: () => Promise.reject(new Error('another route')),
      loadRehearse: () => Promise.reject(new Error('another route')),
    });
    return { shown, code };
  };
  onTestFinished(async () => {
    stop.abort();
    await Promise.allSettled(ended);
    rmSync(dir, { recursive: true, force: true });
  });
  return { start, watch, stop, listens: () => listens };
}

test('status --watch is drawn in place on a terminal, waits for a role that ends, and is no failure to leave', async () => {
  const { start, watch, stop, listens } = await world();
  const first = new AbortController();
  const ended = start(true, first.signal);
  await waitFor(listens, { timeoutMs: 20_000, what: 'the auxiliary' });
  const { shown, code } = watch(['--watch'], true, { NO_COLOR: '1' });
  const seen = (what: string) => waitFor(() => shown.out.includes(what), { timeoutMs: 20_000, what });
  await seen('v  auxiliary, epoch 0');
  // Back to the first row of what was drawn before, again and again.
  await seen(`${ESCAPE}4A`);
  first.abort();
  await ended;
  await seen('no role works with this directory now');
  start(false, stop.signal);
  const before = shown.out.length;
  await waitFor(() => /\p{Cc}\[4A(?!no role)/u.test(shown.out.slice(before)), { timeoutMs: 20_000, what: 'it again' });
  stop.abort();
  expect(await code).toBe(0);
  // NO_COLOR: the cursor moves, and nothing is coloured.
  const codes = [...shown.out.matchAll(/\p{Cc}\[[\d;]*([A-Za-z])/gu)].map(([, letter]) => letter);
  expect(new Set(codes)).toEqual(new Set(['A', 'J', 'K']));
  expect(shown.err).toBe('');
});

test('where there is no terminal, lines come without codes, and --json gives a status a line', async () => {
  const { start, watch, stop, listens } = await world();
  start(true, stop.signal);
  await waitFor(listens, { timeoutMs: 20_000, what: 'the auxiliary' });
  const plain = watch(['--watch'], false, {});
  const json = watch(['--watch', '--json'], false, {});
  await waitFor(() => json.shown.out.split('\n').length > 2 && plain.shown.out !== '', {
    ...{ timeoutMs: 20_000, what: 'lines' },
  });
  stop.abort();
  expect([await plain.code, await json.code]).toEqual([0, 0]);
  expect(plain.shown.out).toMatch(/^v auxiliary, holds 0 operations, ring 0 %\n/);
  expect(plain.shown.out).not.toContain('\u001b');
  for (const line of json.shown.out.trim().split('\n')) {
    expect(JSON.parse(line)).toMatchObject({ role: 'auxiliary', volume: 'v', ringFill: 0 });
  }
});
