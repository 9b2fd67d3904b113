/** `relay`: a process of its own that carries changes to the old table, until it is stopped. */
import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { throwIfAborted } from '../../../../kernel/errors.ts';
import type { RemodelResult } from '../../api.ts';
import { ControlWatch } from '../../process/index.ts';
import { Relay } from '../../relay/index.ts';
import { answer, controlOf, dryAnswer } from '../move.ts';
import { openDoorbell } from '../open-doorbell.ts';
import type { Tools } from '../tools.ts';

const TELL_EVERY_MS = 5_000;

export async function relay(tools: Tools): Promise<RemodelResult> {
  const { store, model, options, signal, clock, say } = tools;
  const control = await controlOf(tools);
  if (options.dryRun)
    return dryAnswer(
      tools,
      'relay',
      control,
      [],
      [`carry changes of ${model.name} to ${model.from.name} until it is stopped`],
    );
  const queue = options.queue === undefined ? undefined : await openDoorbell(options.queue);
  const onEvent = (event: { readonly kind: string }) => say(event.kind, event.kind.replaceAll('-', ' '), { ...event });
  const watch = new ControlWatch(store, model, {
    process: `relay-${process.pid}-${randomBytes(3).toString('hex')}`,
    host: hostname(),
    role: 'relay',
    onEvent,
  });
  const stop = new AbortController();
  try {
    await watch.start(AbortSignal.any([signal, stop.signal]));
    const carrier = new Relay({ store, model, queue, control: () => watch.control, onEvent });
    carrier.start();
    say('relay', `carrying changes to ${model.from.name} (${carrier.status().by})`);
    try {
      let told = 0;
      while (!signal.aborted && watch.control?.phase !== 'retired') {
        await clock.sleep(TELL_EVERY_MS, signal);
        const { applied, lagMs } = carrier.status();
        if (applied !== told)
          say('relay', `${applied} carried, the last after ${Math.round(lagMs)} ms`, { applied, lagMs });
        told = applied;
      }
    } finally {
      await carrier.close();
    }
    const { applied } = carrier.status();
    const last = watch.control ?? control;
    if (last.phase !== 'retired') throwIfAborted(signal);
    return answer(tools, 'relay', last, `${applied} changes carried; the old table is retired`);
  } finally {
    stop.abort();
    await watch.ended();
    await queue?.close();
  }
}
