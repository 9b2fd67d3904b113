/** A service that runs on one of two sides, and leaves traces of which. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { waitFor } from '../servers/wait-for.ts';
import { must } from './file-system.ts';
import { Group, LiveMove } from './live.ts';
import { python } from './move.ts';

/** A service that says all the time, in a file that both sides share, which side it is of, and writes into its root. */
function service(side: string, root: string, traces: string, group: Group): string {
  const loop = `while :; do echo ${side} >>${traces}; echo ${side} $(date +%s%N) >>${root}/journal; sleep 0.01; done`;
  return `sh -c 'echo 0 >${group.dir}/cgroup.procs; ${loop}' </dev/null >/dev/null 2>&1 &`;
}

export class Sides implements AsyncDisposable {
  readonly traces: string;
  readonly #old: Group;
  readonly #new: Group;

  readonly dir: string;
  readonly source: string;
  readonly target: string;

  private constructor(dir: string, source: string, target: string, name: string) {
    this.dir = dir;
    this.source = source;
    this.target = target;
    this.traces = join(dir, 'traces');
    this.#old = new Group(`${name}-old`);
    this.#new = new Group(`${name}-new`);
  }

  static async begin(dir: string, source: string, target: string, name: string): Promise<Sides> {
    const sides = new Sides(dir, source, target, name);
    await python(source, "os.mkdir('d'); [open('d/%d' % i,'wb').write(os.urandom(2000)) for i in range(200)]");
    mkdirSync(join(source, 'later'));
    writeFileSync(sides.traces, '');
    await must('sh', ['-c', service('old', source, sides.traces, sides.#old)]);
    await waitFor(() => sides.order().length > 0, { timeoutMs: 10_000, what: 'the service of the source' });
    return sides;
  }

  /** Who was seen, in order, without repetitions. */
  order(): readonly string[] {
    const lines = readFileSync(this.traces, 'utf8').split('\n').filter(Boolean);
    return lines.filter((line, at) => line !== lines[at - 1]);
  }

  /** Until this side is seen again. */
  async seen(side: string): Promise<void> {
    writeFileSync(this.traces, '', { flag: 'a' });
    const length = () =>
      readFileSync(this.traces, 'utf8')
        .split('\n')
        .filter((line) => line === side).length;
    const before = length();
    await waitFor(() => length() > before, { timeoutMs: 20_000, what: `a trace of ${side}` });
  }

  /** Whether both run at this moment. Not while a commit kills: what was frozen is thawed to die. */
  get areBothRunning(): boolean {
    const runs = (group: Group) => group.processes.length > 0 && !group.isFrozen;
    // Looked at one after another: the first one must still run when the second one does.
    return runs(this.#old) && runs(this.#new) && runs(this.#old);
  }

  move(): LiveMove {
    return new LiveMove({
      dir: this.dir,
      source: this.source,
      target: this.target,
      agent: ['--freeze-cgroup', this.#old.dir],
      receive: [
        ...[
          '--start-command',
          `test -s ${this.#new.dir}/cgroup.procs || ${service('new', this.target, this.traces, this.#new)}`,
        ],
        ...[
          '--stop-command',
          `echo 1 >${this.#new.dir}/cgroup.kill; while grep -q 'populated 1' ${this.#new.dir}/cgroup.events; do :; done`,
        ],
      ],
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#new[Symbol.asyncDispose]();
    await this.#old[Symbol.asyncDispose]();
  }
}
