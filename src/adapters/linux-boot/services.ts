/** Services that serve the hypervisor a system ran on, and have no work on another machine. */

export interface HypervisorTool {
  readonly unit: string;
  /** Where it belongs, as systemd-detect-virt names it. */
  readonly home: readonly string[];
  readonly what: string;
}

const tool = (what: string, home: readonly string[], ...units: readonly string[]): readonly HypervisorTool[] =>
  units.map((unit) => ({ unit: `${unit}.service`, home, what }));

export const HYPERVISOR_TOOLS: readonly HypervisorTool[] = [
  ...tool('VMware', ['vmware'], 'open-vm-tools', 'vgauth', 'vmtoolsd', 'vmware-tools'),
  ...tool('QEMU', ['kvm', 'qemu'], 'qemu-guest-agent'),
  ...tool('VirtualBox', ['oracle'], 'virtualbox-guest-utils', 'vboxadd', 'vboxadd-service', 'vboxservice'),
  ...tool('Hyper-V', ['microsoft'], 'hv-kvp-daemon', 'hv-vss-daemon', 'hv-fcopy-daemon', 'hyperv-daemons'),
  ...tool('Xen', ['xen'], 'xe-guest-utilities', 'xe-linux-distribution', 'xe-daemon'),
  ...tool('Azure', ['microsoft'], 'walinuxagent', 'waagent'),
  ...tool('Google Cloud', ['google'], 'google-guest-agent', 'google-startup-scripts', 'google-osconfig-agent'),
  ...tool('Amazon', ['amazon'], 'amazon-ssm-agent', 'hibinit-agent'),
];

export const UNIT_FOLDERS = ['etc/systemd/system', 'lib/systemd/system', 'usr/lib/systemd/system', 'etc/init.d'];
