/** Moves of the control record: looked at gate by gate, proved, and never on a stale view of it. */
import { GodwitError, throwIfAborted } from '../../../kernel/errors.ts';
import { type Control, type ControlChange, mayMoveRemodel, type RemodelPhase } from '../../../kernel/remodel/index.ts';
import type { GateResult, RemodelCommand, RemodelResult } from '../api.ts';
import { auditOf, type FactName, measure } from './facts.ts';
import { GATES, type Gate, type GateName, look, mayOpen } from './gates.ts';
import { latestProof, makeProof } from './proof.ts';
import type { Tools } from './tools.ts';

const POLL_MS = 200;

/** The control record; GW1004 when there is none. */
export async function controlOf({ store, model }: Tools): Promise<Control> {
  const control = await store.control(model);
  if (control === undefined || control.phase === 'draft')
    throw new GodwitError('GW1004', `Remodel ${model.name} does not exist in this database; \`create\` makes it`, {
      details: { remodel: model.name },
    });
  return control;
}

/** GW1004 unless the phase is one of these. */
export function needPhase(tools: Tools, control: Control, command: string, phases: readonly RemodelPhase[]): void {
  if (phases.includes(control.phase)) return;
  throw new GodwitError(
    'GW1004',
    `Remodel ${tools.model.name} is in phase ${control.phase}; ${command} is for ${phases.join(', ')}`,
    { details: { remodel: tools.model.name, phase: control.phase } },
  );
}

/** The gates of a move as they stand. */
export async function lookAt(tools: Tools, name: GateName): Promise<readonly GateResult[]> {
  return look(name, await measure(tools, needsOf(name)), tools.settings);
}

export function isOpen(gates: readonly GateResult[]): boolean {
  return gates.every(({ holds }) => holds);
}

/** Throws GW6003, or GW6004 when the shape of a table is what is wrong. */
export function refuseClosed(tools: Tools, what: string, gates: readonly GateResult[]): void {
  const closed = gates.filter(({ holds }) => !holds);
  if (closed.length === 0) return;
  const lines = closed.map(({ name, measured }) => `${name}: ${measured}`);
  const code = closed.every(({ name }) => name.includes('shape')) ? 'GW6004' : 'GW6003';
  throw new GodwitError(code, `Remodel ${tools.model.name} may not go to ${what}: ${lines.join('; ')}`, {
    details: { remodel: tools.model.name, closed: lines },
  });
}

/** Looks until all gates are open, and says what it waits for; throws GW6003 when waiting does not help, or no more. */
export async function waitForGates(tools: Tools, name: GateName): Promise<readonly GateResult[]> {
  const { clock, options, signal, settings } = tools;
  const until = clock.now() + options.timeoutSeconds * 1_000;
  let said = '';
  for (;;) {
    throwIfAborted(signal);
    const facts = await measure(tools, needsOf(name));
    const gates = look(name, facts, settings);
    const closed = gates.filter(({ holds }) => !holds);
    if (closed.length === 0) return gates;
    if (!mayOpen(name, facts, settings) || clock.now() >= until) refuseClosed(tools, name, gates);
    const names = closed.map((gate) => gate.name).join('; ');
    const words = closed.map(({ name: gate, measured }) => `${gate} (${measured})`).join('; ');
    if (names !== said) tools.say('waiting', `waiting until ${words}`, { gates: closed });
    said = names;
    await clock.sleep(POLL_MS, signal);
  }
}

function needsOf(name: GateName): readonly FactName[] {
  return GATES[name].flatMap((gate: Gate) => gate.needs);
}

export interface Move {
  readonly control: Control;
  readonly change: ControlChange;
  readonly event: 'phase' | 'ramp' | 'reads' | 'guard';
  readonly gates: readonly GateResult[];
  /** What else belongs to the proof: counts, snapshots, hashes. */
  readonly facts?: Readonly<Record<string, unknown>>;
  /** Kept in the audit row beside the proof. */
  readonly data?: Readonly<Record<string, unknown>>;
}

/** Changes control with the evidence in one audit row. Throws GW7007 when somebody else changed it meanwhile. */
export async function move(tools: Tools, { control, change, event, gates, facts = {}, data = {} }: Move) {
  const { store, model, definition } = tools;
  if (change.phase !== undefined && !mayMoveRemodel(control.phase, change.phase))
    throw new GodwitError('GW9001', `No way leads from ${control.phase} to ${change.phase}`);
  const previous = latestProof(await auditOf(tools));
  const proof = makeProof(definition, event, gates, facts, previous);
  const said = change.phase === undefined ? change : { from: control.phase, to: change.phase, ...change };
  const next = await store.change(model, control.epoch, change, event, { ...said, ...data, proof });
  return { control: next, proof: proof.hash };
}

/** The answer of a command. */
export function answer(
  tools: Tools,
  command: RemodelCommand,
  control: Pick<Control, 'phase' | 'epoch'>,
  message: string,
  more: Partial<RemodelResult> = {},
): RemodelResult {
  return {
    version: 1,
    route: 'remodel',
    command,
    remodel: tools.model.name,
    phase: control.phase,
    epoch: control.epoch,
    already: false,
    dryRun: tools.options.dryRun,
    message,
    ok: true,
    ...more,
  };
}

/** What a dry run answers: the gates as they stand, and what would be done if all are open. */
export function dryAnswer(
  tools: Tools,
  command: RemodelCommand,
  control: Pick<Control, 'phase' | 'epoch'>,
  gates: readonly GateResult[],
  would: readonly string[],
): RemodelResult {
  const open = isOpen(gates);
  const message = open ? 'Nothing was changed; every gate is open' : 'Nothing was changed; a gate is closed';
  return answer(tools, command, control, message, { gates, would, ok: open });
}
