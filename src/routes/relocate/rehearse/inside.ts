/** What the clone itself tells of its boot, over its second serial line; none of it is in the moved system. */
import type { Laid } from '../../../adapters/linux-boot/index.ts';
import type { Probe } from './api.ts';

const DIR = 'etc/godwit-rehearsal';
const UNIT = 'godwit-rehearsal.service';
const UNITS = 'etc/systemd/system';

const SERVICE = `[Unit]
Description=Tells how the rehearsal goes
[Service]
ExecStart=/bin/sh /${DIR}/tell
`;

const TELL = `exec > /dev/ttyS1 2> /dev/null
(
  state=$(systemctl is-system-running --wait)
  systemctl list-units --failed --plain --no-legend --no-pager | while read -r unit _; do echo "unit $unit"; done
  echo "system \${state:-unknown}"
) &
for probe in /${DIR}/probe-*; do
  [ -e "$probe" ] || continue
  (
    while :; do
      said=$(sh "$probe" 2>&1)
      code=$?
      echo "probe \${probe##*-} $code $(printf '%s' "$said" | tail -n 1 | cut -c 1-200)"
      [ $code = 0 ] && exit
      sleep 2
    done
  ) &
done
wait
`;

export function insideFiles(probes: readonly Probe[]): readonly Laid[] {
  return [
    { path: `${UNITS}/${UNIT}`, text: SERVICE },
    { path: `${UNITS}/multi-user.target.wants/${UNIT}`, link: `../${UNIT}` },
    { path: `${DIR}/tell`, text: TELL },
    ...probes.flatMap((probe, at) =>
      probe.kind === 'exec' ? [{ path: `${DIR}/probe-${at}`, text: `${probe.command}\n` }] : [],
    ),
  ];
}

export interface Told {
  readonly state: string | undefined;
  readonly failedUnits: readonly string[];
  /** By the probe's number: how its command ended the last time, and the last line that it said. */
  readonly commands: ReadonlyMap<number, { readonly code: number; readonly said: string }>;
}

/** Of what it told so far; the last line may still be on its way. */
export function parseTold(text: string): Told {
  let state: string | undefined;
  const failedUnits: string[] = [];
  const commands = new Map<number, { code: number; said: string }>();
  for (const line of text.replaceAll('\r', '').split('\n').slice(0, -1)) {
    const [kind, first = '', ...rest] = line.split(' ');
    if (kind === 'unit') failedUnits.push(first);
    else if (kind === 'system') state = first;
    else if (kind === 'probe') commands.set(Number(first), { code: Number(rest[0]), said: rest.slice(1).join(' ') });
  }
  return { state, failedUnits, commands };
}
