/** A virtual machine without a way out: clones of disks, a kernel that is started directly, ports that are forwarded to it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { Monitor } from './monitor.ts';

export type Accelerator = 'kvm' | 'tcg';

export interface Forward {
  /** On 127.0.0.1. */
  readonly hostPort: number;
  readonly port: number;
}

export interface MachineNetwork {
  /** Of the machine, where its address is its own; without it the machine asks for one. */
  readonly address?: { readonly ip: string; readonly prefix: number } | undefined;
  readonly macs: readonly string[];
  readonly forwards: readonly Forward[];
}

export interface MachineOptions {
  /** Its own folder: overlays, serial lines and the monitor's socket lie there. */
  readonly dir: string;
  readonly accelerator: Accelerator;
  readonly megabytes: number;
  readonly kernel: string;
  readonly initrd: string;
  readonly words: string;
  /** Images that it may write to. */
  readonly disks: readonly string[];
  readonly network: MachineNetwork;
}

/** Everything a machine says on its first serial line, and what is said to us on its second. */
const SERIAL = 'serial.log';
const TOLD = 'told.log';
const MONITOR = 'monitor';

export class Machine implements AsyncDisposable {
  readonly serialFile: string;
  readonly #dir: string;
  readonly #child: ChildProcess;
  readonly #closed: Promise<void>;
  #isEnded = false;
  #monitor: Monitor | undefined;

  private constructor(options: MachineOptions) {
    this.#dir = options.dir;
    this.serialFile = join(options.dir, SERIAL);
    for (const name of [SERIAL, TOLD, MONITOR, 'errors']) rmSync(join(options.dir, name), { force: true });
    const errors = openSync(join(options.dir, 'errors'), 'w', 0o600);
    // However we end, it ends: nobody else would know of it.
    const command = ['--pdeathsig', 'KILL', 'qemu-system-x86_64', ...machineArguments(options)];
    this.#child = spawn('setpriv', command, {
      cwd: options.dir,
      stdio: ['ignore', 'ignore', errors],
    });
    closeSync(errors);
    this.#closed = new Promise((resolve) => {
      const end = () => {
        this.#isEnded = true;
        resolve();
      };
      this.#child.once('error', end);
      this.#child.once('close', end);
    });
  }

  static start(options: MachineOptions): Machine {
    return new Machine(options);
  }

  get isEnded(): boolean {
    return this.#isEnded;
  }

  get serial(): string {
    return this.#read(SERIAL);
  }

  /** What it wrote to its second serial line. */
  get told(): string {
    return this.#read(TOLD);
  }

  /** What QEMU itself complains about. */
  get errors(): string {
    return this.#read('errors').trim();
  }

  /** The connections of its network, as QEMU lists them; nothing before it can be asked. */
  async connections(): Promise<string> {
    try {
      // By a short name: those of sockets may not be long.
      this.#monitor ??= await Monitor.open(`/proc/${this.#child.pid}/cwd/${MONITOR}`);
      return await this.#monitor.type('info usernet');
    } catch {
      this.#monitor = undefined;
      return '';
    }
  }

  #read(name: string): string {
    const file = join(this.#dir, name);
    return existsSync(file) ? readFileSync(file, 'utf8') : '';
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#monitor?.[Symbol.dispose]();
    if (!this.#isEnded) this.#child.kill('SIGKILL');
    await this.#closed;
  }
}

export function machineArguments(options: MachineOptions): readonly string[] {
  const { accelerator, megabytes, kernel, initrd, words, disks, network } = options;
  return [
    ...['-accel', accelerator === 'kvm' ? 'kvm' : 'tcg,thread=multi'],
    ...['-cpu', accelerator === 'kvm' ? 'host' : 'max,la57=off', '-smp', '2', '-m', String(megabytes)],
    ...['-display', 'none', '-nodefaults', '-vga', 'none', '-no-reboot'],
    ...['-serial', `file:${SERIAL}`, '-serial', `file:${TOLD}`, '-qmp', `unix:${MONITOR},server=on,wait=off`],
    ...['-kernel', kernel, '-initrd', initrd, '-append', words],
    ...disks.flatMap((file, at) => [
      ...['-drive', `if=none,id=d${at},file=${commas(file)},format=qcow2,cache=unsafe,discard=unmap`],
      ...['-device', `virtio-blk-pci,drive=d${at}`],
    ]),
    ...networkArguments(network),
  ];
}

/** One network for all cards, with nothing else in it: `restrict` lets nothing out, and in comes what is forwarded. */
function networkArguments({ address, macs, forwards }: MachineNetwork): readonly string[] {
  const net = address === undefined ? '' : `,${networkOf(address)}`;
  const forward = forwards.map(
    ({ hostPort, port }) => `,hostfwd=tcp:127.0.0.1:${hostPort}-${address?.ip ?? ''}:${port}`,
  );
  return [
    ...['-netdev', `user,id=u0,restrict=on,ipv6=off${net}${forward.join('')}`],
    ...['-netdev', 'hubport,id=out,hubid=0,netdev=u0'],
    ...macs.flatMap((mac, at) => [
      ...['-netdev', `hubport,id=h${at},hubid=0`],
      ...['-device', `virtio-net-pci,netdev=h${at},mac=${mac}`],
    ]),
  ];
}

/** QEMU's own addresses in the machine's network, none of which may be the machine's. */
function networkOf({ ip, prefix }: { readonly ip: string; readonly prefix: number }): string {
  const parts = ip.split('.').map(Number);
  const own = parts.reduce((sum, part) => sum * 256 + part, 0);
  // A network must have room for QEMU's, too.
  const size = 2 ** (32 - Math.min(prefix, 29));
  const first = Math.floor(own / size) * size;
  const free: number[] = [];
  for (let at = first + size - 2; free.length < 3; at -= 1) if (at !== own) free.push(at);
  const [host, dns, dhcp] = free.map(textOf);
  return `net=${textOf(first)}/${Math.min(prefix, 29)},host=${host},dns=${dns},dhcpstart=${dhcp}`;
}

function textOf(address: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(address / 2 ** shift) % 256).join('.');
}

/** In a value of QEMU's, a comma is written twice. */
function commas(value: string): string {
  return value.replaceAll(',', ',,');
}
