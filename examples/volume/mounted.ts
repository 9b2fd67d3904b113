/** A volume that is served by NBD, as a file system: through FUSE and a loop device, which every kernel has. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findBlockTool } from '../../test/servers/block-tools.ts';
import { runCommand } from '../../test/servers/run-command.ts';
import { waitFor } from '../../test/servers/wait-for.ts';

async function must(command: string, args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await runCommand(command, args);
  if (code !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${code}: ${stderr || stdout}`);
  return stdout;
}

export class Mounted {
  /** The block device. */
  readonly device: string;
  /** The directory. */
  readonly path: string;
  readonly #file: string;
  readonly #fuse: ChildProcess;

  private constructor(device: string, path: string, file: string, fuse: ChildProcess) {
    this.device = device;
    this.path = path;
    this.#file = file;
    this.#fuse = fuse;
  }

  /** Makes a block device of an export on a Unix socket; `mount` is the next step. */
  static async attach(dir: string, name: string, socket: string, exportName: string): Promise<Mounted> {
    const file = join(dir, `${name}.device`);
    writeFileSync(file, '');
    const path = join(dir, `${name}.mnt`);
    mkdirSync(path, { recursive: true });
    const fuse = spawn(await findBlockTool('nbdfuse'), [file, `nbd+unix:///${exportName}?socket=${socket}`], {
      // It complains when the server is lost, which is what happens here.
      stdio: 'ignore',
    });
    await waitFor(() => statSync(file).size > 0, { timeoutMs: 30_000, what: `${file} to show the volume` });
    const device = (await must('losetup', ['--find', '--show', file])).trim();
    return new Mounted(device, path, file, fuse);
  }

  async format(): Promise<void> {
    await must('mkfs.ext4', ['-q', '-E', 'nodiscard', this.device]);
  }

  /** Plays the journal back, as a boot does, then looks at everything. Gives whether nothing was wrong. */
  async check(): Promise<{ readonly clean: boolean; readonly words: string }> {
    await runCommand('e2fsck', ['-p', '-E', 'journal_only', this.device]);
    const { code, stdout } = await runCommand('e2fsck', ['-n', '-f', this.device]);
    return { clean: code === 0, words: stdout.trim().split('\n').at(-1) ?? '' };
  }

  async mount(): Promise<void> {
    await must('mount', ['-t', 'ext4', this.device, this.path]);
  }

  async unmount(): Promise<void> {
    await must('umount', [this.path]);
  }

  /** Takes everything down, whatever state it is in. */
  async detach(): Promise<void> {
    await runCommand('umount', ['-l', this.path]);
    await runCommand('losetup', ['-d', this.device]);
    await runCommand('fusermount3', ['-u', '-z', this.#file]);
    await runCommand('umount', ['-l', this.#file]);
    if (this.#fuse.exitCode === null && this.#fuse.signalCode === null) {
      const exited = once(this.#fuse, 'exit');
      this.#fuse.kill('SIGKILL');
      await exited;
    }
  }
}
