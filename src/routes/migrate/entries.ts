import { openFileEntry } from '../../entries/file/index.ts';
import { openWebhookEntry } from '../../entries/webhook/index.ts';
import type { Entry } from '../../kernel/ports.ts';
import type { RunContext } from './run-context.ts';

/** Opens the entries of the options: the addresses that move at the switch. */
export async function openEntries(run: RunContext): Promise<Entry[]> {
  if (run.options.entries.length === 0) return [];
  const [from, to] = await Promise.all([run.source.members(), run.target.members()]);
  return run.options.entries.map((options) => {
    if (options.kind === 'file') return openFileEntry(options, { targetAddress: to, memory: run.store });
    const secret = options.secretEnv === undefined ? undefined : process.env[options.secretEnv];
    return openWebhookEntry(
      { url: options.url, timeoutSeconds: options.timeoutSeconds, secret },
      { run: run.store.run, from, to, memory: run.store, clock: run.clock },
    );
  });
}
