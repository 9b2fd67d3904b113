/** Copies of block devices that cost only what is written to them. */
import { execFile } from 'node:child_process';
import { rmSync } from 'node:fs';

/** The device is read and never written. Undefined when it went well, else what was said. */
export async function cloneDevice(device: string, file: string): Promise<string | undefined> {
  rmSync(file, { force: true });
  return run('qemu-img', ['create', '-q', '-f', 'qcow2', '-F', 'raw', '-b', device, file]);
}

/** What this machine lacks for a virtual one, by the package that has it. */
export async function missingPrograms(): Promise<readonly string[]> {
  const missing: string[] = [];
  if ((await run('qemu-img', ['--version'])) !== undefined) missing.push('qemu-utils');
  if ((await run('qemu-system-x86_64', ['--version'])) !== undefined) missing.push('qemu-system-x86');
  return missing;
}

function run(program: string, args: readonly string[]): Promise<string | undefined> {
  return new Promise((resolve) => {
    execFile(program, args, (error, _stdout, stderr) => {
      resolve(error === null ? undefined : stderr.trim() || error.message);
    });
  });
}
