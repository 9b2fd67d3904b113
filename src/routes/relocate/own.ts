import { identityOf } from '../../adapters/linux-files/index.ts';

/** Directories that must not be copied: our own state, and, on one machine, what the target writes. */
export function openOwn(stateDir: string, ofTarget: readonly string[]): ReadonlySet<string> {
  return new Set([identityOf(stateDir), ...ofTarget.map((each) => Buffer.from(each, 'base64').toString('latin1'))]);
}
