import { inspect } from 'node:util';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { isRetryable } from '../../src/kernel/errors.ts';
import type { DoorbellOptions } from '../../src/kernel/remodel/broker-doorbell.ts';
import type { Doorbell } from '../../src/kernel/remodel/doorbell.ts';
import { startTcpProxy, type TcpProxy } from '../servers/tcp-proxy.ts';
import { waitFor } from '../servers/wait-for.ts';

/** A broker of one kind, and a look behind the doorbell. */
export interface DoorbellSubject {
  readonly server: {
    readonly port: number;
    readonly uri: string;
    kill(): Promise<void>;
    restart(): Promise<void>;
    stop(): Promise<void>;
  };
  /** `ackWaitMs`: how long the broker waits for a listener that fell silent, where there is such a wait. */
  make(uri: string, options: DoorbellOptions & { readonly ackWaitMs: number }): Doorbell;
  /** Puts a message of somebody else's into the queue, which is there already. */
  putForeign(remodel: string, body: Uint8Array): Promise<void>;
  /** Messages that the broker still holds, while nobody listens. What a listener had may take a moment to return. */
  held(remodel: string): Promise<number>;
  /** Messages that may stay with a stopped listener until the broker's wait is over, for a fault of the broker's own. */
  readonly keptBack: number;
  /** Resolves when a queue used for the first time would outlive a SIGKILL of the broker. */
  settled(remodel: string): Promise<void>;
}

const never = new AbortController().signal;
const PATIENCE = { timeoutMs: 60_000 } as const;
const range = (prefix: string, count: number) => Array.from({ length: count }, (_, i) => `${prefix}-${i}`);

/** A promise and the function that keeps it. */
function gate(): { readonly opened: Promise<void>; open(): void } {
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}

/** What `Doorbell` promises. */
export function describeDoorbellContract(name: string, startSubject: () => Promise<DoorbellSubject>): void {
  describe(name, () => {
    let subject: DoorbellSubject;
    let lastRemodel = 0;
    beforeAll(async () => {
      subject = await startSubject();
    });
    afterAll(() => subject?.server.stop());

    const freshName = () => `r${++lastRemodel}`;
    const throughProxy = (proxy: TcpProxy) =>
      subject.server.uri.replace(String(subject.server.port), String(proxy.port));

    function makeBell(options: DoorbellOptions & { uri?: string; ackWaitMs?: number } = {}): Doorbell {
      const { uri = subject.server.uri, ackWaitMs = 2_000, ...rest } = options;
      const bell = subject.make(uri, { ackWaitMs, ...rest });
      onTestFinished(() => bell.close());
      return bell;
    }

    async function makeProxy(): Promise<TcpProxy> {
      const proxy = await startTcpProxy({ port: subject.server.port });
      onTestFinished(() => proxy.close());
      return proxy;
    }

    /** Listens and remembers what was answered. */
    function listen(
      bell: Doorbell,
      remodel: string,
      answer: (ids: readonly string[]) => Promise<void> = async () => {},
    ) {
      const stop = new AbortController();
      const answered: string[] = [];
      const ended = bell.listen(
        remodel,
        async (ids) => {
          await answer(ids);
          answered.push(...ids);
        },
        stop.signal,
      );
      ended.catch(() => {}); // the test awaits it
      return {
        answered,
        ended,
        has: (ids: readonly string[]) => {
          const seen = new Set(answered);
          return ids.every((id) => seen.has(id));
        },
        stop: () => {
          stop.abort();
          return ended;
        },
      };
    }

    const expectHeld = (remodel: string, count: number) =>
      waitFor(async () => (await subject.held(remodel)) === count, {
        ...PATIENCE,
        what: `the broker to hold ${count}`,
      });

    /** What a new listener finds until it has found all of `ids`. */
    async function expectHeard(remodel: string, ids: readonly string[]): Promise<void> {
      const listener = listen(makeBell(), remodel);
      await waitFor(() => listener.has(ids), { ...PATIENCE, what: `${ids.length} rings to arrive` });
      await listener.stop();
    }

    test('rings arrive, and the broker forgets what was answered', async () => {
      const remodel = freshName();
      const bell = makeBell();
      const listener = listen(bell, remodel);
      const ids = range('id', 250);
      await bell.ring(remodel, ids, never);
      await waitFor(() => listener.has(ids), { ...PATIENCE, what: 'the rings' });
      await listener.stop();
      expect(bell.counts).toMatchObject({ rung: 250, answered: 250, failedAnswers: 0, foreign: 0 });
      await expectHeld(remodel, 0);
    });

    test('the broker keeps what is rung before anybody listens, for each remodel apart', async () => {
      const [one, two] = [freshName(), freshName()];
      const bell = makeBell();
      await bell.ring(one, range('one', 20), never);
      await bell.ring(two, range('two', 20), never);
      await expectHeld(one, 20);
      await expectHeld(two, 20);
      const listener = listen(makeBell(), one);
      await waitFor(() => listener.has(range('one', 20)), { ...PATIENCE, what: 'the rings' });
      await listener.stop();
      expect(new Set(listener.answered)).toEqual(new Set(range('one', 20)));
      await expectHeld(two, 20);
    });

    test('the same identity may ring again and again', async () => {
      const remodel = freshName();
      const bell = makeBell();
      const listener = listen(bell, remodel);
      for (let times = 1; times <= 5; times++) {
        await bell.ring(remodel, ['again'], never);
        await waitFor(() => listener.answered.length >= times, { ...PATIENCE, what: `ring ${times}` });
      }
      await listener.stop();
    });

    test('identities keep every character', async () => {
      const remodel = freshName();
      const ids = [
        '',
        ' ',
        'a\nb\r\n\tc',
        'é😀\u0000\u2028"\\\'',
        '\ud800 alone',
        '{"is":"godwit.ring"}',
        'x'.repeat(1_024),
        'ü'.repeat(1_024),
        'a.b.*.>',
      ];
      await makeBell().ring(remodel, ids, never);
      const listener = listen(makeBell(), remodel);
      await waitFor(() => listener.has(ids), { ...PATIENCE, what: 'all of them' });
      await listener.stop();
      expect([...new Set(listener.answered)].sort()).toEqual([...ids].sort());
    });

    test('a failed answer comes again until it succeeds, after longer and longer waits', async () => {
      const remodel = freshName();
      const faults: unknown[] = [];
      const bell = makeBell({ onFault: (fault) => faults.push(fault) });
      const wrong = new Error('not today');
      const triedAt: number[] = [];
      const listener = listen(bell, remodel, async () => {
        triedAt.push(performance.now());
        if (triedAt.length <= 5) throw wrong;
      });
      await bell.ring(remodel, ['stubborn'], never);
      await waitFor(() => listener.has(['stubborn']), { ...PATIENCE, what: 'the answer to succeed' });
      await listener.stop();
      expect(bell.counts).toMatchObject({ failedAnswers: 5, answered: 1 });
      // A connection lost meanwhile is told, too: the broker's affair, not that of the answers.
      expect(faults.filter((fault) => fault === wrong)).toHaveLength(5);
      // At least 50 + 100 + 200 + 400 + 800 ms, less what timers are early: no hot loop, however fast the machine.
      expect((triedAt.at(-1) ?? 0) - (triedAt[0] ?? 0)).toBeGreaterThan(1_400);
      await expectHeld(remodel, 0);
    });

    test('an identity that always fails keeps no other from its answer, and stays', async () => {
      const remodel = freshName();
      const bell = makeBell();
      const good = range('good', 119);
      await bell.ring(remodel, [...good.slice(0, 40), 'bad', ...good.slice(40)], never);
      const listener = listen(bell, remodel, async (ids) => {
        if (ids.includes('bad')) throw new Error('never');
      });
      await waitFor(() => listener.has(good), { ...PATIENCE, what: 'the others to be answered' });
      await listener.stop();
      expect(listener.answered).not.toContain('bad');
      await expectHeld(remodel, 1);
    });

    test('messages of others are acknowledged away and counted', async () => {
      const remodel = freshName();
      const bell = makeBell();
      await bell.ring(remodel, ['before'], never);
      const foreign = ['', 'not json', '{"is":"godwit.ring"}', '{"is":"else","identity":"x"}', '[]', 'null', '7'];
      for (const text of foreign) await subject.putForeign(remodel, Buffer.from(text));
      await subject.putForeign(remodel, Buffer.from([0xff, 0xfe, 0x00, 0x80]));
      await bell.ring(remodel, ['after'], never);
      const listener = listen(bell, remodel);
      await waitFor(() => listener.has(['before', 'after']), { ...PATIENCE, what: 'our own' });
      await listener.stop();
      expect([...listener.answered].sort()).toEqual(['after', 'before']);
      expect(bell.counts.foreign).toBe(foreign.length + 1);
      await expectHeld(remodel, 0);
    });

    test('a listener whose connection is cut loses nothing', async () => {
      const remodel = freshName();
      const proxy = await makeProxy();
      const ids = range('id', 500);
      await makeBell().ring(remodel, ids, never);
      const bell = makeBell({ uri: throughProxy(proxy) });
      let cuts = 0;
      const listener = listen(bell, remodel, async () => {
        if (cuts === 3 || proxy.connections === 0) return;
        cuts += 1;
        proxy.cut();
        throw new Error('dead');
      });
      await waitFor(() => cuts === 3 && listener.has(ids), { ...PATIENCE, what: 'everything, after three cuts' });
      await listener.stop();
      expect(bell.counts.faults).toBeGreaterThanOrEqual(3);
    });

    test('a ring whose connection is cut is rung again', async () => {
      const remodel = freshName();
      const proxy = await makeProxy();
      const bell = makeBell({ uri: throughProxy(proxy) });
      const ids = range('id', 3_000);
      await bell.ring(remodel, ids.slice(0, 10), never);
      const ringing = bell.ring(remodel, ids.slice(10), never);
      await waitFor(() => bell.counts.rung > 400, { ...PATIENCE, what: 'some to be taken', intervalMs: 1 });
      proxy.cut();
      await ringing;
      expect(bell.counts.rung).toBe(3_000);
      await expectHeard(remodel, ids);
    });

    test('a broker killed and started again loses no ring it had taken; both sides come back', async () => {
      const remodel = freshName();
      const bell = makeBell();
      const listener = listen(bell, remodel);
      const ids = range('id', 3_000);
      await bell.ring(remodel, ['first'], never);
      await subject.settled(remodel);
      const ringing = (async () => {
        for (let from = 0; from < ids.length; from += 50) await bell.ring(remodel, ids.slice(from, from + 50), never);
      })();
      await waitFor(() => bell.counts.rung >= 500, { ...PATIENCE, what: 'the first rings', intervalMs: 1 });
      await subject.server.kill();
      expect(bell.counts.rung).toBeLessThan(3_000);
      await subject.server.restart();
      await ringing;
      await waitFor(() => listener.has(ids), { ...PATIENCE, what: 'all that was rung' });
      await listener.stop();
    });

    test('what the broker had taken before it was killed is there after', async () => {
      const remodel = freshName();
      const ids = range('id', 1_000);
      const bell = makeBell();
      await bell.ring(remodel, ['first'], never);
      await subject.settled(remodel);
      await bell.ring(remodel, ids, never);
      await subject.server.kill();
      await subject.server.restart();
      await expectHeard(remodel, ids);
    });

    test('10000 rings arrive', async () => {
      const remodel = freshName();
      const bell = makeBell();
      const listener = listen(bell, remodel);
      const ids = range('id', 10_000);
      const start = performance.now();
      await bell.ring(remodel, ids, never);
      const rungMs = performance.now() - start;
      await waitFor(() => listener.has(ids), { ...PATIENCE, what: 'all of them' });
      const heardMs = performance.now() - start;
      await listener.stop();
      const perSecond = (ms: number) => Math.round((ids.length / ms) * 1_000);
      console.log(`${name}: ${perSecond(rungMs)} rings/s taken, ${perSecond(heardMs)} rings/s answered`);
      expect(bell.counts.rung).toBe(10_000);
    });

    test('two listeners share the work', async () => {
      const remodel = freshName();
      const ids = range('id', 2_000);
      const both = gate();
      const busy = new Set<string>();
      const meet = (who: string) => async () => {
        busy.add(who);
        if (busy.size === 2) both.open();
        await both.opened;
      };
      const left = listen(makeBell({ ackWaitMs: 30_000 }), remodel, meet('left'));
      const right = listen(makeBell({ ackWaitMs: 30_000 }), remodel, meet('right'));
      await makeBell().ring(remodel, ids, never);
      await waitFor(() => new Set([...left.answered, ...right.answered]).size === ids.length, {
        ...PATIENCE,
        what: 'the two to answer everything',
      });
      await Promise.all([left.stop(), right.stop()]);
      expect(Math.min(left.answered.length, right.answered.length)).toBeGreaterThan(0);
    });

    test('what a stopped listener has not answered goes to the next at once', async () => {
      const remodel = freshName();
      const ids = range('id', 200);
      await makeBell().ring(remodel, ids, never);
      const [begun, finish] = [gate(), gate()];
      const first = listen(makeBell({ ackWaitMs: 600_000 }), remodel, async () => {
        begun.open();
        await finish.opened;
      });
      await begun.opened;
      const ended = first.stop();
      finish.open();
      await ended;
      expect(first.answered.length).toBeGreaterThan(0);
      await expectHeld(remodel, ids.length - first.answered.length);
      const next = listen(makeBell({ ackWaitMs: 600_000 }), remodel);
      const enough = ids.length - first.answered.length - subject.keptBack;
      await waitFor(() => next.answered.length >= enough, { ...PATIENCE, what: `${enough} rings to come again` });
      await next.stop();
      expect(next.answered.filter((id) => first.answered.includes(id))).toEqual([]);
    });

    test('close ends listeners and connections, idle', async () => {
      const remodel = freshName();
      const sockets = () => process.getActiveResourcesInfo().filter((kind) => kind === 'TCPSocketWrap').length;
      const before = sockets();
      const bell = makeBell();
      const listeners = [listen(bell, remodel), listen(bell, freshName())];
      await bell.ring(remodel, ['one'], never);
      await waitFor(() => listeners[0]?.has(['one']), { ...PATIENCE, what: 'the ring' });
      expect(sockets()).toBeGreaterThan(before);
      await bell.close();
      await Promise.all(listeners.map(({ ended }) => ended));
      await bell.close();
      await waitFor(() => sockets() <= before, { timeoutMs: 10_000, what: 'the sockets to be gone' });
      await expect(bell.ring(remodel, ['two'], never)).rejects.toMatchObject({ code: 'GW8001' });
      await bell.listen(remodel, async () => expect.unreachable(), never);
    });

    test('close waits for the answer under way, and keeps what it answered answered', async () => {
      const remodel = freshName();
      const bell = makeBell();
      const [begun, finish] = [gate(), gate()];
      const listener = listen(bell, remodel, async () => {
        begun.open();
        await finish.opened;
      });
      await bell.ring(remodel, ['busy'], never);
      await begun.opened;
      let closed = false;
      const closing = bell.close().then(() => {
        closed = true;
      });
      await new Promise((resolve) => setImmediate(resolve));
      expect(closed).toBe(false);
      finish.open();
      await closing;
      await listener.ended;
      expect(listener.answered).toEqual(['busy']);
      await expectHeld(remodel, 0);
    });

    test('while nothing answers, the signal and close still end everything', async () => {
      const remodel = freshName();
      const proxy = await makeProxy();
      const bell = makeBell({ uri: throughProxy(proxy) });
      const listener = listen(bell, remodel);
      await bell.ring(remodel, ['one'], never);
      await waitFor(() => listener.has(['one']), { ...PATIENCE, what: 'the ring' });
      proxy.blackhole();
      const stop = new AbortController();
      const ringing = bell.ring(remodel, ['two'], stop.signal);
      ringing.catch(() => {});
      const late = makeBell({ uri: throughProxy(proxy) });
      const lateListener = listen(late, remodel);
      await waitFor(() => proxy.connections >= 3, { ...PATIENCE, what: 'the third connection' });
      stop.abort();
      await expect(ringing).rejects.toMatchObject({ code: 'GW8001' });
      await Promise.all([bell.close(), late.close()]);
      await Promise.all([listener.ended, lateListener.ended]);
    });

    test('a ring that the broker cannot take in time fails with a passing fault; a listener waits', async () => {
      const remodel = freshName();
      const proxy = await makeProxy();
      proxy.block();
      const faults: unknown[] = [];
      const bell = makeBell({ uri: throughProxy(proxy), ringForMs: 300, onFault: (fault) => faults.push(fault) });
      const listener = listen(bell, remodel);
      const refused = await bell.ring(remodel, ['one'], never).catch((error: unknown) => error);
      expect(isRetryable(refused)).toBe(true);
      expect(faults.length).toBeGreaterThan(0);
      expect(faults.every(isRetryable)).toBe(true);
      proxy.unblock();
      await bell.ring(remodel, ['two'], never);
      await waitFor(() => listener.has(['two']), { ...PATIENCE, what: 'the listener to come back' });
      await listener.stop();
    });
  });
}

/** Both ways to use a doorbell are refused with this code, and nothing that is thrown shows the password. */
export async function expectRefused(bell: Doorbell, code: string, password: string): Promise<void> {
  const ringing = bell.ring('refused', ['x'], never).catch((error: unknown) => error);
  const listening = bell.listen('refused', async () => {}, never).catch((error: unknown) => error);
  for (const error of [await ringing, await listening]) {
    expect(error).toMatchObject({ code });
    const shown = inspect(error, { depth: 10, showHidden: true });
    expect(shown).not.toContain(password);
    expect(shown).not.toContain(encodeURIComponent(password));
  }
  await bell.close();
}
