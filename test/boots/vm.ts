/** A machine in QEMU, software emulation: everywhere the same, and no kernel of the host is in its way. */
import { type ChildProcess, spawn } from 'node:child_process';
import { copyFileSync, existsSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import type { Hardware } from '../../src/adapters/linux-boot/index.ts';
import { pickFreePort } from '../servers/ports.ts';
import type { ProcessGuard } from '../servers/process-guard.ts';
import { runCommand } from '../servers/run-command.ts';
import type { Card, Controller } from './controllers.ts';
import { OWN_ADDRESS, type OwnSystem } from './own-system.ts';
import { ADDRESS, HOST_ADDRESS, type Login, PAGE } from './source.ts';

export interface VmOptions {
  /** Its own: the serial line is written there. */
  readonly dir: string;
  readonly guard: ProcessGuard;
  /** Nothing it writes reaches the image, unless it runs a system of its own. */
  readonly image: string;
  readonly controller: Controller;
  readonly card: Card;
  readonly firmware: Hardware['firmware'];
  /** What it runs in place of what is on the image. */
  readonly own?: OwnSystem;
  /** Directories of the host that the machine may mount by name, to read. */
  readonly shares?: Readonly<Record<string, string>>;
}

/** What a machine that does not come up says of it. */
export type Refusal = 'finds no loader' | 'finds no root' | 'finds no card';

/** How a start of a machine ended, as it said itself. */
export type Outcome =
  | { readonly kind: 'serves'; readonly seconds: number }
  | { readonly kind: Refusal | 'fails' | 'ended' | 'silent'; readonly told: string };

/** Only for a machine that says nothing any more: what is expected of each start is in its words. */
const SILENT_SECONDS = 3600;
const SAID: readonly (readonly [kind: Refusal | 'fails', pattern: RegExp])[] = [
  ['finds no loader', /BdsDxe: No bootable option or device was found|UEFI Interactive Shell/],
  ['finds no root', /^ALERT!.*does not exist.*Dropping to a shell!/m],
  ['finds no card', /Failed to start \S*networking/],
  ['fails', /^.*(?:Kernel panic - not syncing|You are in emergency mode|grub rescue>).*$/m],
];
const NOT_YET = /kex_exchange_identification|Connection (?:reset|refused|closed|timed out)|banner exchange/;

interface Ports {
  readonly http: number;
  readonly ssh: number;
  /** Where its receiver can be reached, by other machines too. */
  readonly receiver: number;
}

async function freePorts(): Promise<Ports> {
  return { http: await pickFreePort(), ssh: await pickFreePort(), receiver: await pickFreePort() };
}

/** The receiver's port inside. */
export const RECEIVER_PORT = 7070;
const FIRMWARE = '/usr/share/OVMF';

export class Vm implements AsyncDisposable {
  ports: Ports;
  /** Those at the address of the moved system. */
  readonly #moved: Ports;
  readonly #child: ChildProcess;
  readonly #options: VmOptions;
  readonly #startedAt = performance.now();
  readonly #closed: Promise<void>;
  #isEnded = false;
  #stderr = '';

  private constructor(options: VmOptions, ports: Ports, moved: Ports) {
    this.#options = options;
    this.ports = ports;
    this.#moved = moved;
    this.#child = spawn('qemu-system-x86_64', argumentsOf(options, ports, moved), {
      stdio: ['ignore', 'ignore', 'pipe'],
      // What it must not write to the image is written there.
      env: { ...process.env, TMPDIR: options.dir },
    });
    this.#child.stderr?.on('data', (chunk: Buffer) => {
      this.#stderr += chunk.toString();
    });
    const { pid } = this.#child;
    if (pid !== undefined) options.guard.add(pid);
    this.#closed = new Promise((resolve) => {
      const end = () => {
        this.#isEnded = true;
        if (pid !== undefined) options.guard.remove(pid);
        resolve();
      };
      this.#child.on('close', end);
      this.#child.on('error', (error) => {
        this.#stderr += error.message;
        end();
      });
    });
  }

  static async start(options: VmOptions): Promise<Vm> {
    return new Vm(options, await freePorts(), await freePorts());
  }

  /** From now on it is the moved system, at its address: it went there without a restart, which would have ended it. */
  becomesMoved(): void {
    this.ports = this.#moved;
  }

  get seconds(): number {
    return (performance.now() - this.#startedAt) / 1000;
  }

  /** What it printed on its serial line. */
  get serial(): string {
    const file = join(this.#options.dir, 'serial');
    return existsSync(file) ? readFileSync(file, 'latin1') : '';
  }

  /** Waits until it has said how its start ends. */
  async outcome(): Promise<Outcome> {
    for (;;) {
      if ((await this.page()) === PAGE) return { kind: 'serves', seconds: this.seconds };
      const told = this.serial;
      for (const [kind, pattern] of SAID) {
        const said = pattern.exec(told);
        if (said !== null) return { kind, told: said[0].trim() };
      }
      const end = `${this.#stderr.trim()}\n${told.slice(-1500)}`;
      if (this.#isEnded) return { kind: 'ended', told: end };
      if (this.seconds > SILENT_SECONDS) return { kind: 'silent', told: end };
      await new Promise((resolve) => setTimeout(resolve, 250));
    }
  }

  /** What the service answers now; the longer the start takes already, the more patience it gets. */
  page(): Promise<string | undefined> {
    return this.get('/', 3000 + this.seconds * 50);
  }

  get(path: string, patienceMs: number): Promise<string | undefined> {
    return new Promise((resolve) => {
      let text = '';
      const socket = connect({ host: '127.0.0.1', port: this.ports.http });
      socket.setTimeout(patienceMs, () => socket.destroy());
      socket.on('connect', () => socket.write(`GET ${path} HTTP/1.0\r\nHost: shop\r\n\r\n`));
      socket.on('data', (chunk) => {
        text += chunk.toString('latin1');
      });
      socket.on('error', () => socket.destroy());
      socket.on('close', () => resolve(/^HTTP\/1\.[01] 200 .*?\r\n\r\n(.*)$/s.exec(text)?.[1]));
    });
  }

  /** Runs a command in it as root, as soon as there is a way in; its host key must be the one that is known. */
  async ssh(login: Login, command: string): Promise<string> {
    const options = [
      'StrictHostKeyChecking=yes',
      `UserKnownHostsFile=${login.knownHosts}`,
      `HostKeyAlias=${login.hostName}`,
      'HostKeyAlgorithms=ssh-ed25519',
      'BatchMode=yes',
      'ConnectTimeout=60',
      'ServerAliveInterval=60',
      'ServerAliveCountMax=30',
    ].flatMap((option) => ['-o', option]);
    const to = ['-F', 'none', '-i', login.keyFile, '-p', String(this.ports.ssh), ...options, 'root@127.0.0.1'];
    for (;;) {
      const ran = await runCommand('ssh', [...to, command]);
      if (ran.code === 0) return ran.stdout;
      const isNotYet = ran.code === 255 && NOT_YET.test(ran.stderr) && !this.#isEnded;
      if (!isNotYet || this.seconds > SILENT_SECONDS) {
        const said = `${ran.stderr}\n${ran.stdout.slice(-2000)}\n${this.serial.slice(-600)}`;
        throw new Error(`${command.slice(-150)} in the machine ended with ${ran.code}: ${said}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
  }

  /** Waits until it has turned itself off. */
  async off(): Promise<void> {
    await this.#closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#isEnded) this.#child.kill('SIGKILL');
    await this.#closed;
  }
}

function argumentsOf(options: VmOptions, ports: Ports, moved: Ports): readonly string[] {
  const { dir, image, controller, card, firmware, own, shares = {} } = options;
  const forward = [
    ...forwards(ports, own === undefined ? ADDRESS : OWN_ADDRESS),
    ...(own === undefined ? [] : forwards(moved, ADDRESS)),
  ];
  const memory = Object.keys(shares).length === 0 ? '512' : '1024';
  const drive = `format=raw,cache=unsafe`;
  return [
    // One processor: two machines run at a time, and one needs no locks.
    ...['-accel', 'tcg', '-cpu', 'max,la57=off', '-smp', '1', '-m', memory],
    ...['-display', 'none', '-nodefaults', '-vga', 'std', '-no-reboot', '-serial', `file:${join(dir, 'serial')}`],
    ...(firmware === 'uefi' ? uefi(dir) : []),
    ...['-drive', `if=none,id=d0,file=${image},${drive},snapshot=${own === undefined ? 'on' : 'off'}`],
    ...controller.devices.flatMap((device) => ['-device', device]),
    ...(own === undefined
      ? []
      : [
          ...['-drive', `if=none,id=own,file=${own.image},${drive},snapshot=on`],
          ...['-device', 'virtio-blk-pci,drive=own,addr=5'],
          ...['-kernel', own.kernel, '-initrd', own.initramfs, '-append', own.words],
        ]),
    ...['-netdev', `user,id=n0,net=10.9.8.0/24,host=${HOST_ADDRESS},${forward.join(',')}`],
    // Nothing is to boot from the network.
    ...['-device', `${card.device},netdev=n0,mac=${card.mac},addr=${card.slot},romfile=`],
    ...Object.entries(shares).flatMap(([name, path]) => [
      '-virtfs',
      `local,path=${path},mount_tag=${name},security_model=none,readonly=on,multidevs=remap`,
    ]),
  ];
}

function forwards({ http, ssh, receiver }: Ports, address: string): readonly string[] {
  const pairs = [
    [http, 80],
    [ssh, 22],
    [receiver, RECEIVER_PORT],
  ];
  return pairs.map(([outside, inside]) => `hostfwd=tcp:127.0.0.1:${outside}-${address}:${inside}`);
}

/** A firmware that remembers nothing. */
function uefi(dir: string): readonly string[] {
  const variables = join(dir, 'variables.fd');
  copyFileSync(join(FIRMWARE, 'OVMF_VARS_4M.fd'), variables);
  return [
    ...['-drive', `if=pflash,unit=0,format=raw,readonly=on,file=${join(FIRMWARE, 'OVMF_CODE_4M.fd')}`],
    ...['-drive', `if=pflash,unit=1,format=raw,file=${variables}`],
  ];
}
