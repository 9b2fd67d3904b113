export { runInside } from './chroot.ts';
export { type MountedDisks, mountedDisks } from './disks.ts';
export { freeze, refreshDevices } from './freeze.ts';
export { isMasked, isThere, namesIn, readBytes, readText, rootOf } from './inside-root.ts';
export { kernelsOf, lackingModules, resolveDrivers } from './kernels.ts';
export { loadKernel, startOf } from './kexec.ts';
export { thisMachine } from './machine.ts';
export { cardText, configuredCards, networkChanges } from './network.ts';
export { AdaptationRecord, RECORD } from './record.ts';
export {
  configuredAddresses,
  kernelWords,
  type Laid,
  makeStart,
  type RehearsalStart,
  VIRTUAL_DRIVERS,
} from './rehearsal.ts';
export type { Ran } from './run.ts';
export { HYPERVISOR_TOOLS, UNIT_FOLDERS } from './services.ts';
export type { Hardware, Nic, Rewritten } from './target.ts';
export { rewriteCrypttab } from './text/crypttab.ts';
export { rewriteFstab } from './text/fstab.ts';
export { rewriteGrubDefaults, rewriteResume, withModules } from './text/kernel-words.ts';
export { linesOf, turnedOff } from './text/lines.ts';
export { distributionOf } from './text/os-release.ts';
export { plainMac } from './text/sections.ts';
