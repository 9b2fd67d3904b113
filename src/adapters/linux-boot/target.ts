/** The machine that a moved system is to boot on, as far as its files must know it. */

/** One of its network cards. */
export interface Nic {
  readonly mac: string;
  /** Names of kernel modules, or modaliases that the kernel's own table resolves. */
  readonly drivers: readonly string[];
}

export interface Hardware {
  readonly version: 1;
  readonly firmware: 'bios' | 'uefi';
  /** As systemd-detect-virt names it: kvm, vmware, microsoft, oracle, xen, amazon, none … */
  readonly hypervisor: string;
  /** What its disks need, from the bus to the disk: names of modules, or modaliases. */
  readonly drivers: readonly string[];
  readonly nics: readonly Nic[];
}

/** A file system that is mounted where the moved system will have it. */
export interface TargetFilesystem {
  /** As the moved system will see it: `/`, `/boot/efi`. */
  readonly mountPoint: string;
  readonly uuid: string;
  readonly type: string;
  /** Of btrfs: what of it is mounted, without the leading slash; empty for all of it. */
  readonly subvolume?: string;
}

/** An encrypted container below one of the file systems. */
export interface TargetCrypt {
  readonly name: string;
  readonly uuid: string;
}

/** Where the moved system will lie. */
export interface TargetDisks {
  readonly filesystems: readonly TargetFilesystem[];
  /** UUIDs of swap areas. */
  readonly swaps: readonly string[];
  readonly crypts: readonly TargetCrypt[];
}

/** A text as it is to be, and what was done to it, in words. */
export interface Rewritten {
  readonly text: string;
  readonly notes: readonly string[];
}
