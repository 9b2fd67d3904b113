/** Virtual machines of QEMU that nothing gets out of. */
export { cloneDevice, missingPrograms } from './clone.ts';
export { type Accelerator, type Forward, Machine, type MachineNetwork } from './machine.ts';
export { isTaken } from './monitor.ts';
