/** Adapts a moved system on its disk, beside the machine that is to run it. */
import type { AdaptResult } from '../../src/routes/relocate/adapt/api.ts';
import { adapt } from '../../src/routes/relocate/adapt/index.ts';
import { cardOf, type Target } from './controllers.ts';
import { mountDisk } from './disk.ts';

/** Twice: the second time there is nothing to do. */
export async function adaptHere(image: string, target: Target): Promise<readonly AdaptResult[]> {
  await using disk = await mountDisk(image);
  return [await adaptMounted(disk.dir, target), await adaptMounted(disk.dir, target)];
}

export function adaptMounted(root: string, { controller, firmware }: Target): Promise<AdaptResult> {
  const { mac, driver } = cardOf(controller.name);
  const hardware = {
    version: 1,
    firmware,
    hypervisor: 'qemu',
    drivers: controller.drivers,
    nics: [{ mac, drivers: [driver] }],
  } as const;
  return adapt(
    { root, hardware, nics: new Map(), swaps: [], isDryRun: false },
    { signal: new AbortController().signal, onEvent: () => undefined },
  );
}

export function wrongAdaptation([first, second]: readonly AdaptResult[]): readonly string[] {
  const changed = first?.changes.map(({ path }) => path) ?? [];
  const again = [...(second?.changes.map(({ path }) => path) ?? []), ...(second?.commands ?? [])];
  const wrong: string[] = [];
  if (changed.length < 4) wrong.push(`only ${changed.join(', ')} changed`);
  if (again.length > 0) wrong.push(`a second adaptation finds something to do: ${JSON.stringify(again)}`);
  return wrong;
}
