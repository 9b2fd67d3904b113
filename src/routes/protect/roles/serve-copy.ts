import { FileVolume, serveNbd } from '../../../adapters/nbd/index.ts';
import type { NbdAt, ProtectHooks } from '../api.ts';
import { Lifetime, tell } from './events.ts';

/** Serves a copy of a volume by NBD, which nobody can write to, until the signal is set. */
export async function serveCopy(
  { file, volume: name, nbd }: { readonly file: string; readonly volume: string; readonly nbd: NbdAt },
  hooks: ProtectHooks,
): Promise<void> {
  const life = new Lifetime(hooks.signal);
  const volume = await FileVolume.open(file, { readOnly: true });
  try {
    const server = await serveNbd({ address: nbd, exports: [{ name, volume, readOnly: true }] });
    tell(hooks, 'serving', { nbd, volume: name, file });
    try {
      await life.ended;
    } finally {
      await server.close();
    }
  } finally {
    await volume.close();
  }
}
