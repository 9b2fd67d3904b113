/**
 * A machine of the demo: a root on a loop device of its own, and namespaces for
 * everything that runs on it. All of it belongs to the namespaces that the demo
 * runs in, and goes with them, however the demo ends.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runCommand } from '../../test/servers/run-command.ts';

export const BRIDGE = 'godwit0';
/** Where the customers find the shop, wherever it is. */
export const SHOP = '10.77.1.1';
const MEGABYTES = 700;

export async function must(program: string, args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await runCommand(program, args);
  if (code !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${code}: ${stderr || stdout}`);
  return stdout;
}

export class Machine {
  readonly name: string;
  readonly address: string;
  /** The root as everybody else sees it. */
  readonly mount: string;
  /** The root as the machine itself sees it: the same path on every machine. */
  readonly root: string;
  readonly cgroup: string;
  readonly #holder: ChildProcess;

  private constructor(of: Pick<Machine, 'name' | 'address' | 'mount' | 'root' | 'cgroup'>, holder: ChildProcess) {
    this.name = of.name;
    this.address = of.address;
    this.mount = of.mount;
    this.root = of.root;
    this.cgroup = of.cgroup;
    this.#holder = holder;
  }

  static async start(dir: string, name: string, number: number, cgroups: string): Promise<Machine> {
    const image = join(dir, `${name}.image`);
    const mount = join(dir, name);
    const root = join(dir, 'root');
    const cgroup = join(cgroups, name);
    const address = `10.77.0.${number}`;
    for (const each of [mount, root, cgroup]) mkdirSync(each, { recursive: true });
    writeFileSync(image, '');
    truncateSync(image, MEGABYTES * 1024 * 1024);
    await must('mkfs.ext4', ['-q', '-F', image]);
    await must('mount', ['-o', 'loop', image, mount]);
    // The mount keeps it; nothing is left when that is gone.
    rmSync(image);
    const ready = join(dir, `${name}.ready`);
    const script = 'mount --bind "$1" "$2" && ip link set lo up && : >"$3" && exec sleep infinity';
    const flags = ['--net', '--mount', '--ipc', '--pid', '--fork', '--kill-child', '--mount-proc'];
    const holder = spawn('unshare', [...flags, 'sh', '-c', script, 'sh', mount, root, ready], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    const machine = new Machine({ name, address, mount, root, cgroup }, holder);
    while (!existsSync(ready)) {
      if (holder.exitCode !== null) throw new Error(`the namespaces of ${name} could not be made`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    const inside = String(machine.#insider);
    const link = `veth-${name}`;
    await must('ip', ['link', 'add', link, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', inside]);
    await must('ip', ['link', 'set', link, 'master', BRIDGE, 'up']);
    for (const words of [
      ['addr', 'add', `${address}/24`, 'dev', 'eth0'],
      ['addr', 'add', `${SHOP}/32`, 'dev', 'lo'],
      ['link', 'set', 'eth0', 'up'],
    ])
      await must('nsenter', ['-t', inside, '-n', 'ip', ...words]);
    return machine;
  }

  /** The first process in the namespaces. */
  get #insider(): number {
    const { pid } = this.#holder;
    return Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ')[0]);
  }

  /** A command line of the shell that starts or stops the services of this machine. */
  services(what: 'start' | 'stop', env: Readonly<Record<string, string>>): string {
    const words = Object.entries({ ...env, ROOT: this.root, MACHINE: this.name }).map(
      ([key, value]) => `${key}=${value}`,
    );
    // First into the control group, then into the namespaces: all that they start is in both.
    return `echo 0 >${this.cgroup}/cgroup.procs && nsenter -t ${this.#insider} -n -m -i -p env ${words.join(' ')} ${this.root}/bin/services ${what}`;
  }

  /** How a program runs on the network of this machine, while it sees the disks of both. */
  onNetwork(program: string, args: readonly string[]): readonly [string, readonly string[]] {
    return ['nsenter', ['-t', String(this.#insider), '-n', program, ...args]];
  }
}

/** From here on the customers' packets go to this machine. */
export function routeCommand({ address }: Machine): string {
  return `nsenter -t ${process.pid} -n ip route replace ${SHOP}/32 via ${address}`;
}

/** Where control groups of version 2 are. */
export function findCgroups(): string {
  const line = readFileSync('/proc/mounts', 'utf8')
    .split('\n')
    .find((each) => each.split(' ')[2] === 'cgroup2');
  if (line === undefined) throw new Error('no control groups of version 2 are mounted');
  return line.split(' ')[1] ?? '';
}
