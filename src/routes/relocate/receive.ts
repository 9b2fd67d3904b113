import { mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type Address, type Channel, listen, parseAddress, receive, toText } from '../../adapters/linux-files/index.ts';
import { decompressZstd } from '../../adapters/mongodb/medium/zstd.ts';
import { GodwitError } from '../../kernel/errors.ts';
import { acquireLock } from '../../state/index.ts';
import type { ReceiveHooks, ReceiveOptions, ReceiveResult } from './api.ts';
import { Hold } from './hold.ts';
import { targetServices } from './target-services.ts';

/** Listens, and serves one source after another until it is stopped, or, with `once`, until one has said goodbye. */
export async function serve(options: ReceiveOptions, hooks: ReceiveHooks): Promise<ReceiveResult> {
  // It is made when a source comes; what it cannot be is known now.
  if (statSync(options.root, { throwIfNoEntry: false })?.isDirectory() === false)
    throw new GodwitError('GW1001', `--root ${options.root} is no directory`);
  mkdirSync(options.state, { recursive: true, mode: 0o700 });
  using _lock = acquireLock(
    { lock: join(options.state, 'lock.db'), lockOwner: join(options.state, 'owner.pid') },
    options.state,
  );
  if ((options.startCommand === undefined) !== (options.stopCommand === undefined))
    throw new GodwitError('GW1001', '--start-command and --stop-command belong together: there must be a way back');
  const services = targetServices(options, hooks.onEvent);
  await using still = await Hold.open(options.state);
  let end: () => void = () => undefined;
  const ended = new Promise<void>((resolve) => {
    end = resolve;
  });
  let present: { readonly channel: Channel; readonly served: Promise<void> } | undefined;
  let sources = 0;
  const stop = new AbortController();
  const onAbort = () => {
    stop.abort(hooks.signal.reason);
    end();
  };
  hooks.signal.addEventListener('abort', onAbort, { once: true });

  const serveOne = async (channel: Channel, before: Promise<void> | undefined): Promise<void> => {
    await before;
    still.isConnected = true;
    try {
      const isEnded = await receive(channel, {
        root: options.root,
        stateDir: options.state,
        unzstd: decompressZstd,
        signal: stop.signal,
        services,
        replaces: options.replace === true,
        still,
        onEvent: (event) => {
          if (event.kind === 'begun') {
            sources += 1;
            hooks.onEvent({ type: 'event', kind: 'source', move: event.move, resumedAt: event.resumedAt });
          } else if (event.kind === 'ended') {
            hooks.onEvent({ type: 'event', kind: 'source-ended', bundles: event.bundles });
          } else if (event.kind === 'remark') {
            const { why, path, detail } = event.remark;
            hooks.onEvent({ type: 'event', kind: 'note', why, path: toText(path), ...(detail ? { detail } : {}) });
          }
        },
      });
      if (isEnded && options.once) end();
    } catch (error) {
      // A source that was lost comes again; everything else it is told of, and the next one may try.
      hooks.onEvent({
        type: 'event',
        kind: 'refused',
        message: error instanceof Error ? error.message : String(error),
      });
    } finally {
      still.isConnected = false;
    }
  };
  const listening = await listen(
    parseAddress(options.address),
    options.tls,
    (channel) => {
      // A source that comes again has lost the connection that we may still wait on.
      present?.channel.destroy();
      present = { channel, served: serveOne(channel, present?.served) };
    },
    (error) => hooks.onEvent({ type: 'event', kind: 'refused', message: error.message }),
  );
  hooks.onEvent({ type: 'event', kind: 'listening', address: addressText(listening.address) });
  try {
    await ended;
  } finally {
    hooks.signal.removeEventListener('abort', onAbort);
    await present?.served;
    await listening.close();
  }
  if (hooks.signal.aborted && options.once && sources === 0)
    throw new GodwitError('GW8001', 'Stopped before a source came');
  return { version: 1, command: 'receive', sources };
}

function addressText(address: Address): string {
  if (address.kind === 'unix') return `unix:${address.path}`;
  return `${address.host.includes(':') ? `[${address.host}]` : address.host}:${address.port}`;
}
