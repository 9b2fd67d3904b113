import { GodwitError } from '../../kernel/errors.ts';
import type { Volume } from '../../kernel/protect/volume.ts';
import { EXPORT_FLAG, LONGEST_STRING } from './protocol.ts';

/** A volume under the name that clients ask for. */
export interface NbdExport {
  /** The empty name is the default export. */
  readonly name: string;
  readonly volume: Volume;
  readonly description?: string;
  readonly readOnly?: boolean;
}

/** Exports by name; throws GW1201 for one that no client could use. */
export function checkExports(all: readonly NbdExport[]): ReadonlyMap<string, NbdExport> {
  const byName = new Map<string, NbdExport>();
  for (const each of all) {
    const refuse = (why: string): never => {
      throw new GodwitError('GW1201', `The export ${JSON.stringify(each.name)} cannot be offered: ${why}`, {
        details: { export: each.name },
      });
    };
    for (const text of [each.name, each.description ?? '']) {
      if (Buffer.byteLength(text) > LONGEST_STRING) refuse(`a text of more than ${LONGEST_STRING} bytes`);
      if (text.includes('\0')) refuse('a text with a NUL character');
    }
    if (byName.has(each.name)) refuse('the name is used twice');
    const { size, blockSizes } = each.volume;
    const { least, preferred, most } = blockSizes;
    if (!Number.isSafeInteger(size) || size < 0) refuse(`a size of ${size}`);
    if (!isPowerOfTwo(least) || least > 65_536) refuse(`a least block of ${least} bytes`);
    if (!isPowerOfTwo(preferred) || preferred < Math.max(least, 512)) refuse(`a preferred block of ${preferred} bytes`);
    if (!Number.isInteger(most) || most < preferred || most > 0xffff_ffff - 8) refuse(`payloads of ${most} bytes`);
    if (size % least !== 0) refuse(`a size of ${size} bytes that is no multiple of its least block of ${least}`);
    byName.set(each.name, each);
  }
  return byName;
}

function isPowerOfTwo(value: number): boolean {
  return Number.isInteger(value) && value > 0 && 2 ** Math.round(Math.log2(value)) === value;
}

/** "Transmission flags": what this export can do, on a connection with or without structured replies. */
export function transmissionFlags({ volume, readOnly }: NbdExport, structured: boolean): number {
  let flags = EXPORT_FLAG.hasFlags | EXPORT_FLAG.flush | EXPORT_FLAG.fua;
  if (readOnly) flags |= EXPORT_FLAG.readOnly;
  else flags |= EXPORT_FLAG.trim | EXPORT_FLAG.writeZeroes | EXPORT_FLAG.fastZero;
  if (structured) flags |= EXPORT_FLAG.dontFragment;
  if (volume.coversAllConnections) flags |= EXPORT_FLAG.multiConn;
  return flags;
}
