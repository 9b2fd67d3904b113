/** `rollback`: back to an earlier phase, with nothing lost; from every phase before the old table is dropped. */
import { GodwitError, throwIfAborted } from '../../../../kernel/errors.ts';
import type { Control, RemodelPhase } from '../../../../kernel/remodel/index.ts';
import type { GateResult, RemodelResult } from '../../api.ts';
import { answer, controlOf, dryAnswer, isOpen, lookAt, move, refuseClosed, waitForGates } from '../move.ts';
import type { Tools } from '../tools.ts';
import { wayBack } from '../way-back.ts';
import { drop } from './create.ts';

export async function rollback(tools: Tools, to: RemodelPhase | undefined): Promise<RemodelResult> {
  const start = await controlOf(tools);
  if (start.phase === to) return answer(tools, 'rollback', start, `It is in phase ${to} already`, { already: true });
  const path = wayBack(start.phase, to);
  const needsRelease = path.includes('created');
  const gates: readonly GateResult[] = needsRelease ? await lookAt(tools, 'release') : [];
  if (tools.options.dryRun)
    return dryAnswer(
      tools,
      'rollback',
      start,
      gates,
      path.map((phase) => WORDS[phase] ?? phase),
    );
  if (needsRelease) refuseClosed(tools, 'created', gates);
  let released = 0;
  let proof: string | undefined;
  for (const phase of path) {
    if (phase === 'draft') {
      const dropped = await drop(tools);
      return { ...dropped, command: 'rollback', released };
    }
    const step = await stepBack(tools, await controlOf(tools), phase, gates);
    released += step.released;
    proof = step.proof;
  }
  const control = await controlOf(tools);
  const words = needsRelease ? `; ${released} identities were given back to the old model` : '';
  return answer(tools, 'rollback', control, `Back in phase ${control.phase}${words}`, {
    gates,
    released,
    ok: isOpen(gates),
    ...(proof === undefined ? {} : { proof }),
  });
}

const PAUSE_MS = 100;
const COUNT_EVERY_MS = 2_000;

const WORDS: Partial<Record<RemodelPhase, string>> = {
  'new-only': 'take the trap away; phase new-only',
  reads: 'phase reads; bring the old table up to date with what it missed',
  verified: 'phase verified; all reads from the old model',
  dual: 'phase dual, ramp 0: no further adoptions',
  created: 'give every identity back to the old model, its changes first; phase created',
  draft: 'drop the new tables, the guard and the control record',
};

async function stepBack(
  tools: Tools,
  control: Control,
  to: RemodelPhase,
  gates: readonly GateResult[],
): Promise<{ released: number; proof: string }> {
  const { store, model, admin, say } = tools;
  if (to === 'new-only') {
    await store.untrap(model);
    await admin.note(model, 'untrap', {});
    return { released: 0, ...(await go({ phase: 'new-only' })) };
  }
  if (to === 'reads') {
    // The phase first: only then does the relay write the old table again. Reads stay at 100 % meanwhile.
    const moved = await go({ phase: 'reads' });
    const carried = await drain(tools);
    say('rollback', `${carried} identities brought up to date in ${model.from.name}`, { carried });
    return { released: 0, ...moved };
  }
  if (to === 'verified') return { released: 0, ...(await go({ phase: 'verified', reads: 0, shadow: 0 })) };
  if (to === 'dual') {
    // With the ramp at 0 identities are born in the old table: a process that still reads the new model would miss them.
    await waitForGates(tools, 'everybody knows');
    return { released: 0, ...(await go({ phase: 'dual', ramp: 0, reads: 0, shadow: 0 })) };
  }
  // The ramp at 0 first, so that nothing is adopted while everything is given back.
  const closed =
    control.ramp === 0
      ? control
      : (await move(tools, { control, change: { ramp: 0 }, event: 'ramp', gates: [] })).control;
  // Then every process, which would not find what is given back; and every transaction that may yet adopt.
  await waitForGates(tools, 'nothing is adopted');
  const released = await releaseAll(tools);
  const { proof } = await move(tools, {
    control: closed,
    change: { phase: 'created', ramp: 0 },
    event: 'phase',
    gates,
    facts: { released },
  });
  return { released, proof };

  async function go(change: Parameters<typeof move>[1]['change']): Promise<{ proof: string }> {
    const { proof: hash } = await move(tools, { control, change, event: 'phase', gates: [] });
    say('rollback', WORDS[to] ?? to);
    return { proof: hash };
  }
}

/** Carries everything that waits to the old table, as the relay does, which may run beside it. */
async function drain({ store, model, options, clock, signal, say }: Tools): Promise<number> {
  const until = clock.now() + options.timeoutSeconds * 1_000;
  let carried = 0;
  for (;;) {
    throwIfAborted(signal);
    const pass = await store.relay(model, options.chunk);
    carried += pass.applied;
    const { pending } = await store.backlog(model);
    if (pending === 0 || (!pass.more && pass.applied === 0 && pending < options.chunk)) return carried;
    say('rollback', `${pending} identities still wait for the old table`, { pending });
    if (clock.now() > until)
      throw new GodwitError('GW6003', `${pending} identities still wait for the old table; repeat the command`, {
        details: { pending },
      });
  }
}

/** Until the new model owns nothing. Identities that somebody writes, or wrote past the library, come in a later turn. */
async function releaseAll({ store, model, options, clock, signal, say }: Tools): Promise<number> {
  let released = 0;
  let movedAt = clock.now();
  let countedAt = Number.NEGATIVE_INFINITY;
  let left = Number.POSITIVE_INFINITY;
  for (;;) {
    throwIfAborted(signal);
    // Counting reads whole tables: not for each batch.
    if (left <= 0 || clock.now() - countedAt > COUNT_EVERY_MS) {
      left = await countLeft();
      countedAt = clock.now();
      if (left === 0) return released;
    }
    // One at a time: two would choose the same identities, and one of them wait.
    const batch = Math.max(0, await store.release(model, options.chunk));
    released += batch;
    if (batch > 0) {
      movedAt = clock.now();
      say('rollback', `${released} identities given back`, { released });
      continue;
    }
    left = 0;
    await store.settleDirty(model, options.chunk);
    if (clock.now() - movedAt > options.timeoutSeconds * 1_000)
      throw new GodwitError('GW6003', 'Some identities cannot be given back; `doctor` tells why', {
        details: { released },
      });
    await clock.sleep(PAUSE_MS, signal);
  }

  async function countLeft(): Promise<number> {
    const { owned, tombstones, lossy } = await store.backlog(model);
    // The application goes on: what was not lossy before the first batch may be now.
    if (lossy > 0 && !options.acceptLossy)
      throw new GodwitError('GW6003', `${lossy} identities have become more than the old model can hold`, {
        details: { lossy, released },
      });
    return owned + tombstones;
  }
}
