/**
 * One process that gives commands of `godwit remodel` one after the other, as it is
 * told over its IPC channel, until it is killed in the middle of one: to start a
 * process for each command costs more than all of their work.
 */
import { GodwitError } from '../../src/kernel/errors.ts';
import { runRemodel, type Said } from '../e2e/remodel/run-remodel.ts';

export interface CommandOrder {
  readonly words: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

export interface CommandAnswer {
  /** None: it is ready for its first command. */
  readonly said?: Said;
}

let running = new AbortController();

process.on('message', async (order: CommandOrder | 'stop') => {
  // As a signal would.
  if (order === 'stop') return running.abort(new GodwitError('GW8001', 'It was stopped'));
  running = new AbortController();
  answer({ said: await runRemodel([...order.words, '--json'], order.env, running.signal) });
});
process.on('disconnect', () => process.exit(0));
answer({});

function answer(what: CommandAnswer): void {
  process.send?.(what);
}
