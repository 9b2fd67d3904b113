/** The commands of `remodel`: each opens the store, does one thing, and answers with one object. */
import { type Clock, systemClock } from '../../../kernel/clock.ts';
import { GodwitError } from '../../../kernel/errors.ts';
import { definitionHash } from '../../../kernel/remodel/index.ts';
import type {
  RemodelArgs,
  RemodelCommand,
  RemodelEvent,
  RemodelOptions,
  RemodelResult,
  RemodelStatus,
} from '../api.ts';
import { backfill } from './commands/backfill.ts';
import { check } from './commands/check.ts';
import { contract } from './commands/contract.ts';
import { create, drop } from './commands/create.ts';
import { doctor } from './commands/doctor.ts';
import { ramp } from './commands/ramp.ts';
import { reads } from './commands/reads.ts';
import { relay } from './commands/relay.ts';
import { retire, trap } from './commands/retire.ts';
import { rollback } from './commands/rollback.ts';
import { seal } from './commands/seal.ts';
import { status as lookAtStatus } from './commands/status.ts';
import { verify } from './commands/verify.ts';
import { auditOf } from './facts.ts';
import { loadDefinition } from './load-definition.ts';
import { openStore } from './open-store.ts';
import type { Tools } from './tools.ts';

export { init } from './commands/init.ts';

export interface RemodelHooks {
  readonly signal: AbortSignal;
  readonly onEvent: (event: RemodelEvent) => void;
  readonly clock?: Clock;
}

const WORK: Readonly<Record<Exclude<RemodelCommand, 'init' | 'status'>, Work>> = {
  check: (tools, { seed }) => check(tools, seed ?? 1),
  create,
  ramp: (tools, { share }) => ramp(tools, said(share, 'a share, such as `ramp 5%`, or `auto`')),
  seal,
  backfill,
  verify,
  reads,
  contract,
  retire: (tools, args) => (args.trap === undefined ? retire(tools, args.confirm) : trap(tools, args.trap)),
  rollback: (tools, { to }) => rollback(tools, to),
  doctor,
  relay,
  drop,
};

type Work = (tools: Tools, args: RemodelArgs) => Promise<RemodelResult>;

/** Carries a command out. @throws GodwitError: GW6003 when a gate is closed, GW1004 when it does not fit the phase. */
export function command(
  name: keyof typeof WORK,
  options: RemodelOptions,
  args: RemodelArgs,
  hooks: RemodelHooks,
): Promise<RemodelResult> {
  return withTools(options, hooks, (tools) => WORK[name](tools, args));
}

/** One look. */
export function status(options: RemodelOptions, hooks: RemodelHooks): Promise<RemodelStatus> {
  return withTools(options, hooks, lookAtStatus);
}

/** One look after another, until the signal is set; the connection stays open. */
export function watchStatus(
  options: RemodelOptions,
  hooks: RemodelHooks,
  everyMs: number,
  show: (status: RemodelStatus) => void,
): Promise<void> {
  return withTools(options, hooks, async (tools) => {
    while (!hooks.signal.aborted) {
      const look = await lookAtStatus(tools);
      show(look);
      if (look.phase === 'retired') return;
      await tools.clock.sleep(everyMs, hooks.signal);
    }
  });
}

const PRESET_CYCLE_MS = 720 * 3_600_000;

async function withTools<T>(options: RemodelOptions, hooks: RemodelHooks, work: (tools: Tools) => Promise<T>) {
  const model = await loadDefinition(options.definition, options.remodel);
  const clock = hooks.clock ?? systemClock;
  const open = await openStore(model, options.db, options.lanes + 3);
  try {
    const tools: Tools = {
      model,
      definition: definitionHash(model),
      store: open.store,
      admin: open.admin,
      options,
      clock,
      signal: hooks.signal,
      cycleMs: PRESET_CYCLE_MS,
      settings: {
        acceptLossy: options.acceptLossy,
        lagLimitMs: options.lagLimitSeconds * 1_000,
        minShadow: options.minShadow,
        cycleMs: PRESET_CYCLE_MS,
        timeoutMs: options.timeoutSeconds * 1_000,
      },
      say: (kind, message, data = {}) =>
        hooks.onEvent({ type: 'event', at: new Date(clock.now()).toISOString(), kind, message, data }),
    };
    const cycleMs = await cycleOf(tools);
    return await work({ ...tools, cycleMs, settings: { ...tools.settings, cycleMs } });
  } finally {
    await open.close();
  }
}

/** As said now, or when the trap was set, or a month. */
async function cycleOf(tools: Tools): Promise<number> {
  const { options, store, model } = tools;
  if (options.cycleSeconds !== undefined) return options.cycleSeconds * 1_000;
  if ((await store.control(model))?.phase !== 'trapped') return PRESET_CYCLE_MS;
  const row = (await auditOf(tools)).find(({ data }) => typeof data['cycleMs'] === 'number');
  return (row?.data['cycleMs'] as number | undefined) ?? PRESET_CYCLE_MS;
}

function said<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw new GodwitError('GW1001', `Say ${what}`);
  return value;
}
