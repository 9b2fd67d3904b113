/**
 * Which devices a hive binds drivers to before Plug and Play has run: by the
 * DriverDatabase since Windows 8, by the CriticalDeviceDatabase before. The
 * chain is the one that virt-v2v writes for its drivers
 * (inject_virtio_win.ml: ddb_regedits, cdb_regedits); see DESIGN.md.
 */
import { upperName } from '../names.ts';
import { type HiveKey, keyAt, subkey, textOf, valueAt } from '../tree.ts';

/** Devices by the upper-case name of their service. */
export function boundDevices(root: HiveKey, controlSet: string): ReadonlyMap<string, readonly string[]> {
  const devices = new Map<string, string[]>();
  const bind = (service: string, device: string): void => {
    const list = devices.get(upperName(service));
    if (list === undefined) devices.set(upperName(service), [device]);
    else if (!list.includes(device)) list.push(device);
  };
  for (const critical of keyAt(root, [controlSet, 'Control', 'CriticalDeviceDatabase'])?.subkeys ?? []) {
    const service = textOf(critical, 'Service');
    if (service) bind(service, critical.name.replaceAll('#', '\\'));
  }
  const database = subkey(root, 'DriverDatabase');
  for (const inf of subkey(database, 'DriverInfFiles')?.subkeys ?? []) bindPackage(database, inf, bind);
  return devices;
}

/** An .inf names its active package, whose descriptors lead by a configuration from a device to a service. */
function bindPackage(
  database: HiveKey | undefined,
  inf: HiveKey,
  bind: (service: string, device: string) => void,
): void {
  const label = textOf(inf, 'Active');
  const found = label ? keyAt(database, ['DriverPackages', label]) : undefined;
  for (const bus of subkey(found, 'Descriptors')?.subkeys ?? []) {
    for (const descriptor of bus.subkeys) {
      const configuration = textOf(descriptor, 'Configuration');
      const service = configuration && textOf(keyAt(found, ['Configurations', configuration]), 'Service');
      const known = keyAt(database, ['DeviceIds', bus.name, descriptor.name]);
      if (service && valueAt(known, inf.name)) bind(service, `${bus.name}\\${descriptor.name}`);
    }
  }
}
