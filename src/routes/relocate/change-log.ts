/** A line of JSON for each change that was sent: when, what, where in which file, and the hash of its content. */
import { closeSync, openSync, realpathSync, writeSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { describe, fromText, joinPath, type Mapping, type Place, toText } from '../../adapters/linux-files/index.ts';
import { GodwitError } from '../../kernel/errors.ts';

export class ChangeLog implements Disposable {
  readonly #fd: number;
  readonly #mappings: readonly Mapping[];

  /** Appends. @throws GodwitError GW1001 when the file lies where it would be a change itself */
  constructor(path: string, mappings: readonly Mapping[]) {
    const within = (directory: string) => `${realpathSync(dirname(resolve(path)))}/`.startsWith(`${directory}/`);
    const inside = mappings.find(({ source }) => within(realpathSync(source).replace(/\/$/, '')));
    if (inside !== undefined)
      throw new GodwitError('GW1001', `--log-changes ${path} lies below ${inside.source}: each line would be a change`);
    this.#fd = openSync(path, 'a', 0o600);
    this.#mappings = mappings;
  }

  /** What one bundle says. A bundle that a lost connection made us send again is there again, with the same sequence. */
  add(sequence: number, atMs: number, operations: Buffer): void {
    let lines = '';
    let index = 0;
    const at = new Date(atMs).toISOString();
    for (const { type, mapping, path, to, ...rest } of describe(operations)) {
      const full = this.#text({ mapping, path });
      const line = { sequence, index, at, type, path: full, ...rest, ...(to === undefined ? {} : { to: toText(to) }) };
      lines += `${JSON.stringify(line)}\n`;
      index += 1;
    }
    writeSync(this.#fd, lines);
  }

  /** A large file that the target has under another name took that of the source: after this bundle. */
  renamed(sequence: number, from: Place, to: Place): void {
    const at = new Date().toISOString();
    writeSync(
      this.#fd,
      `${JSON.stringify({ sequence, at, type: 'rename', path: this.#text(from), to: this.#text(to) })}\n`,
    );
  }

  #text({ mapping, path }: Place): string {
    const root = fromText(this.#mappings[mapping]?.source ?? '').replace(/\/$/, '');
    return toText(path === '' ? root : joinPath(root, path));
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }
}
