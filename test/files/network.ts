/** Machines on one wire, as network name spaces: an old one, a new one, and somebody who asks for an address all the time. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { waitFor } from '../servers/wait-for.ts';
import { must } from './file-system.ts';
import { needPrograms } from './packages.ts';

const PROGRAM = fileURLToPath(new URL('./arp.py', import.meta.url));
const ADDRESS = '10.88.0.5';
const SIDES = ['old', 'new'] as const;

type Side = (typeof SIDES)[number];

export class Network implements AsyncDisposable {
  readonly #name: string;
  readonly #macs = new Map<string, Side>();
  readonly #answers: Side[][] = [];
  #asking: ChildProcess | undefined;

  private constructor(name: string) {
    this.#name = name;
  }

  static async begin(name: string): Promise<Network> {
    await needPrograms('ip', 'python3');
    const network = new Network(`godwit-${process.pid}-${name}`);
    await network.#build();
    return network;
  }

  async #build(): Promise<void> {
    const wire = this.#space('wire');
    await must('ip', ['netns', 'add', wire]);
    await must('ip', ['-n', wire, 'link', 'add', 'bridge', 'type', 'bridge']);
    await must('ip', ['-n', wire, 'link', 'set', 'bridge', 'up']);
    for (const machine of [...SIDES, 'client']) {
      const space = this.#space(machine);
      await must('ip', ['netns', 'add', space]);
      await must('ip', ['-n', wire, 'link', 'add', machine, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', space]);
      await must('ip', ['-n', wire, 'link', 'set', machine, 'master', 'bridge', 'up']);
      await must('ip', ['-n', space, 'link', 'set', 'eth0', 'up']);
    }
    for (const side of SIDES) {
      const link = await must('ip', ['-n', this.#space(side), '-o', 'link', 'show', 'eth0']);
      this.#macs.set(/link\/ether (\S+)/.exec(link)?.[1] ?? '', side);
    }
    await must('sh', ['-c', this.give('old')]);
    const asking = spawn('ip', ['netns', 'exec', this.#space('client'), 'python3', PROGRAM, ADDRESS], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    this.#asking = asking;
    createInterface({ input: asking.stdout }).on('line', (line) => {
      const macs = line.split(' ').slice(1);
      this.#answers.push(macs.map((mac) => this.#macs.get(mac)).filter((side) => side !== undefined));
    });
    await this.answered('old');
  }

  #space(machine: string): string {
    return `${this.#name}-${machine}`;
  }

  /** The command that gives a side the address. */
  give(side: Side): string {
    return `ip -n ${this.#space(side)} addr replace ${ADDRESS}/16 dev eth0`;
  }

  /** The command that takes it away: it succeeds when it is away. */
  take(side: Side): string {
    const shown = `ip -n ${this.#space(side)} -o addr show to ${ADDRESS}`;
    return `${shown} | grep -q . && ip -n ${this.#space(side)} addr del ${ADDRESS}/16 dev eth0; test -z "$(${shown})"`;
  }

  /** Until this side, alone, answers a question that was asked from now on. */
  async answered(side: Side): Promise<void> {
    const from = this.#answers.length + 2;
    const found = () => this.#answers.slice(from).some((sides) => sides.join() === side);
    await waitFor(found, { timeoutMs: 20_000, what: `an answer of ${side}` });
  }

  /** Who answered, one after another, without repetitions; `both` where two answered one question. */
  order(): readonly string[] {
    const who = this.#answers
      .filter((sides) => sides.length > 0)
      .map((sides) => (sides.length > 1 ? 'both' : sides[0]));
    return who.filter((each, at) => each !== who[at - 1]) as string[];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#asking?.exitCode === null) {
      const gone = once(this.#asking, 'close');
      this.#asking.kill('SIGKILL');
      await gone;
    }
    for (const machine of [...SIDES, 'client', 'wire']) await must('ip', ['netns', 'del', this.#space(machine)]);
  }
}
