import { realpathSync } from 'node:fs';
import { AdaptationRecord, type Hardware, thisMachine } from '../../../adapters/linux-boot/index.ts';
import { adapt } from './adapt.ts';
import type { UndoResult } from './api.ts';

export { adapt };

/** Puts back every file as it was before the first adaptation. */
export function undo(given: string): UndoResult {
  const root = realpathSync(given);
  return { version: 1, command: 'adapt --undo', root, restored: new AdaptationRecord(root).undo() };
}

export function hardware(devices: readonly string[]): Promise<Hardware> {
  return thisMachine(devices);
}
