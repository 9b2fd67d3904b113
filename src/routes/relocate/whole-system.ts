/** A whole system is refused before anything of it is sent when it could not be made to boot on the target. */
import { distributionOf, isThere, readText } from '../../adapters/linux-boot/index.ts';
import type { Mapping } from '../../adapters/linux-files/index.ts';
import { GodwitError } from '../../kernel/errors.ts';

/** What is started first, where a distribution keeps it. */
const FIRST = ['sbin/init', 'usr/sbin/init', 'lib/systemd/systemd', 'usr/lib/systemd/systemd'];

/** Directories are moved of any system. @throws GodwitError GW2411 with the name of the distribution. */
export function mustBeAdaptable(mappings: readonly Mapping[]): void {
  for (const { source, target } of mappings) {
    if (target !== '/' || !FIRST.some((path) => isThere(source, path))) continue;
    const { isKnown, name } = distributionOf(readText(source, 'etc/os-release') ?? '');
    if (isKnown) continue;
    throw new GodwitError(
      'GW2411',
      `${source} holds a whole ${name}: only Debian and Ubuntu are adapted to other hardware. Nothing was sent`,
    );
  }
}
