/** A root with the libraries of C and C++ and nothing else: no shell, no users, no Node. */
import { type ChildProcess, spawn } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { must } from '../files/file-system.ts';

export interface Ran {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export class BareRoot implements Disposable {
  readonly dir = mkdtempSync(join(tmpdir(), 'godwit-bare-'));
  readonly #children = new Set<ChildProcess>();

  /** With `program` as /godwit, and the libraries that it is linked with. */
  static async with(program: string): Promise<BareRoot> {
    const root = new BareRoot();
    for (const name of ['proc', 'tmp']) mkdirSync(join(root.dir, name));
    copyFileSync(program, join(root.dir, 'godwit'));
    const libraries = [...(await must('ldd', [program])).matchAll(/(\/\S+\.so\S*)/g)].map((match) => match[1] ?? '');
    // Of the C library, too, and asked for by a native part only.
    const libc = libraries.find((library) => library.includes('/libc.so')) ?? '';
    for (const library of [...libraries, join(dirname(libc), 'librt.so.1')]) {
      mkdirSync(dirname(join(root.dir, library)), { recursive: true });
      copyFileSync(library, join(root.dir, library));
    }
    return root;
  }

  /** Names of all programs and libraries in it. */
  get files(): readonly string[] {
    return readdirSync(this.dir, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && !entry.parentPath.startsWith(join(this.dir, 'tmp')))
      .map(({ name }) => name)
      .sort();
  }

  /** Starts /godwit in it, without any variable of this environment. */
  start(words: readonly string[]): { readonly child: ChildProcess; readonly ended: Promise<Ran> } {
    const own = ['--mount', '--pid', '--fork', '--kill-child', '--propagation', 'private'];
    const script = 'mount -t proc proc "$0/proc" && exec env -i /usr/sbin/chroot "$0" /godwit "$@"';
    const child = spawn('unshare', [...own, 'sh', '-c', script, this.dir, ...words], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#children.add(child);
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (chunk) => {
      stdout += String(chunk);
    });
    child.stderr.on('data', (chunk) => {
      stderr += String(chunk);
    });
    const ended = new Promise<Ran>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code) => {
        this.#children.delete(child);
        resolve({ code, stdout, stderr });
      });
    });
    return { child, ended };
  }

  run(words: readonly string[]): Promise<Ran> {
    return this.start(words).ended;
  }

  [Symbol.dispose](): void {
    for (const child of this.#children) child.kill('SIGKILL');
    rmSync(this.dir, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  }
}
