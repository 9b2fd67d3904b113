/** Follows a clone from its start until everything has answered, or nothing will any more. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Machine } from '../../../adapters/qemu/index.ts';
import { throwIfAborted } from '../../../kernel/errors.ts';
import type { Probe, ProbeResult, RehearseHooks, RehearseResult } from './api.ts';
import { parseTold } from './inside.ts';
import { ask } from './probes.ts';

const LOOK_MS = 250;
const AGAIN_MS = 1000;
const LAST_WORDS = 20;
/** What the clone says when it gives up. */
const GIVEN_UP: readonly (readonly [pattern: RegExp, because: string])[] = [
  [/Kernel panic - not syncing/, 'its kernel panicked'],
  [/ALERT!\s+.*does not exist/, 'it did not find its root'],
  [/You are in emergency mode|Cannot open access to console/, 'it stopped in emergency mode'],
];

export type Watched = Pick<RehearseResult, 'because' | 'system' | 'failedUnits' | 'probes' | 'lastWords'>;

export interface WatchOptions {
  readonly probes: readonly Probe[];
  /** By the number of the probe. */
  readonly hostPorts: ReadonlyMap<number, number>;
  readonly timeout: number;
  /** Before its root is mounted, so many seconds without a word are its end. */
  readonly silence?: number | undefined;
}

/** `because` is not there when all is well. */
export async function watch(machine: Machine, options: WatchOptions, hooks: RehearseHooks): Promise<Watched> {
  const { probes, hostPorts, timeout, silence } = options;
  const startedAt = performance.now();
  const seconds = () => (performance.now() - startedAt) / 1000;
  const results: ProbeResult[] = probes.map(({ text }) => ({ probe: text, ok: false, detail: 'not asked yet' }));
  const answered = (at: number, { ok, detail }: { readonly ok: boolean; readonly detail: string }) => {
    const before = results[at];
    if (before === undefined || before.ok) return;
    results[at] = { probe: before.probe, ok, detail, ...(ok ? { seconds: seconds() } : {}) };
    if (ok) hooks.onEvent({ type: 'event', kind: 'probe', probe: before.probe, seconds: seconds() });
  };
  const stop = new AbortController();
  const asking = probes.map(async (probe, at) => {
    const port = hostPorts.get(at);
    while (port !== undefined && results[at]?.ok === false && !stop.signal.aborted) {
      answered(at, await ask(probe, port, machine, stop.signal));
      if (results[at]?.ok === false) await sleep(AGAIN_MS, undefined, { signal: stop.signal }).catch(() => undefined);
    }
  });
  const seen = new Set<string>();
  const once = (kind: 'kernel' | 'init', isSo: boolean) => {
    if (!isSo || seen.has(kind)) return;
    seen.add(kind);
    hooks.onEvent({ type: 'event', kind, seconds: seconds() });
  };
  let system: Watched['system'];
  let heard = { length: 0, at: 0 };
  try {
    for (;;) {
      throwIfAborted(hooks.signal);
      const { serial } = machine;
      once('kernel', serial.includes('Linux version'));
      once('init', /systemd\[1\]:|Welcome to /.test(serial));
      const told = parseTold(machine.told);
      for (const [at, { code, said }] of told.commands)
        answered(at, { ok: code === 0, detail: said === '' ? `ended with ${code}` : said });
      if (told.state !== undefined && system === undefined) {
        system = { state: told.state, seconds: seconds() };
        hooks.onEvent({ type: 'event', kind: 'system', ...system });
      }
      hooks.onProgress({ seconds: seconds(), timeout, probes: results, said: linesOf(serial).at(-1) ?? '' });
      const end = (because?: string): Watched => ({
        ...(because === undefined ? {} : { because, lastWords: linesOf(machine.serial).slice(-LAST_WORDS) }),
        ...(system === undefined ? {} : { system }),
        failedUnits: told.failedUnits,
        probes: [...results],
      });
      // Without a question, the boot as a whole is one.
      const isUp = probes.length > 0 || system !== undefined;
      if (isUp && results.every(({ ok }) => ok)) {
        if (probes.length > 0 || system?.state === 'running' || system?.state === 'degraded') return end();
        return end(`it came up as ${system?.state}`);
      }
      const given = GIVEN_UP.find(([pattern]) => pattern.test(serial));
      if (given !== undefined) return end(given[1]);
      if (machine.isEnded) return end(`the virtual machine ended${machine.errors === '' ? '' : `: ${machine.errors}`}`);
      if (serial.length > heard.length) heard = { length: serial.length, at: seconds() };
      if (silence !== undefined && !seen.has('init') && seconds() - heard.at > silence) return end(SILENT);
      if (seconds() > timeout) return end(`not everything had answered after ${timeout} s`);
      await sleep(LOOK_MS);
    }
  } finally {
    stop.abort();
    await Promise.all(asking);
  }
}

export const SILENT = 'it fell silent before its root was mounted';

/** The last of what it said, as one would read it. */
function linesOf(serial: string): readonly string[] {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: consoles are written to with control characters
  const plain = serial.slice(-8000).replace(/\u001b\[[0-9;?]*[A-Za-z]|[\u0000-\u0009\u000b-\u001f]/g, '');
  return plain.split('\n').filter((line) => line.trim() !== '');
}
