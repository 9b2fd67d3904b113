import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { GodwitError } from '../kernel/errors.ts';

/** The parsed content of --config. */
export function readConfigFile(path: string): unknown {
  try {
    return parse(readFileSync(path, 'utf8'), { prettyErrors: false });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new GodwitError('GW1001', `--config: ${path} cannot be read: ${reason}`, {
      details: { option: 'config' },
      cause: error,
    });
  }
}
