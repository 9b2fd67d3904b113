/** Who gives the commands of a storm, and repeats what was killed under him. */
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { Command, type Log, type Place, type Running, type Said } from './children.ts';
import type { CommandHost } from './command-host.ts';
import type { Random } from './random.ts';

const COMMAND_MS = 90_000;

/** What a fault may be about: any command, or the one that copies. */
export type Victim = 'command' | 'copier';

interface Doom {
  readonly victim: Victim;
  /** After the start of the command. */
  readonly afterMs: number;
}

export class Operator {
  readonly #place: Place;
  readonly #host: CommandHost;
  readonly #random: Random;
  readonly #log: Log;
  readonly #killed: (victim: Victim) => void;
  #dooms: Doom[] = [];
  #current: Running | undefined;
  readonly #beside = new Set<Command>();

  constructor(place: Place, host: CommandHost, random: Random, log: Log, killed: (victim: Victim) => void) {
    this.#place = place;
    this.#host = host;
    this.#random = random;
    this.#log = log;
    this.#killed = killed;
  }

  /** A command to come will be killed while it works. */
  doom(victim: Victim): void {
    this.#dooms.push({ victim, afterMs: this.#random.between(5, this.#random.chance(0.3) ? 1_200 : 300) });
  }

  /** Says it until the phase is there: the command, or the database, may have been killed in the middle. */
  move(words: readonly string[], phase: string): Promise<void> {
    return this.say(words, async (said) => said.code === 0 && (await this.#phase()) === phase);
  }

  async say(words: readonly string[], isDone: (said: Said) => boolean | Promise<boolean>): Promise<void> {
    const until = performance.now() + COMMAND_MS;
    for (;;) {
      const said = await this.#run(words);
      if (await isDone(said)) return;
      if (performance.now() > until)
        throw new Error(`godwit remodel ${words.join(' ')} did not get there: ${said.out}${said.err}`);
      await sleep(100);
    }
  }

  /** A command by somebody else, in a process of its own, whatever becomes of it. */
  beside(words: readonly string[]): void {
    const command = new Command(this.#place, words);
    this.#beside.add(command);
    void command.said.then(({ code, out }) => {
      this.#beside.delete(command);
      this.#log(`beside: godwit remodel ${words.join(' ')}: ${code} ${code === 0 ? '' : out}`);
    });
  }

  async query(text: string, values: unknown[] = []): Promise<pg.QueryResult> {
    const client = new pg.Client({ connectionString: this.#place.db, connectionTimeoutMillis: 5_000 });
    client.on('error', () => undefined);
    await client.connect();
    try {
      return await client.query(text, values);
    } finally {
      await client.end();
    }
  }

  async stop(): Promise<void> {
    this.#dooms = [];
    const commands: Running[] = [...this.#beside, ...(this.#current ? [this.#current] : [])];
    for (const command of commands) command.kill();
    await Promise.all(commands.map((command) => command.said));
  }

  async #run(words: readonly string[]): Promise<Said> {
    const began = performance.now();
    const command = this.#host.run(this.#place, words);
    this.#current = command;
    const doom = this.#dooms.find(({ victim }) => victim === 'command' || words[0] === 'backfill');
    const timer = doom && setTimeout(() => this.#strike(command, doom), doom.afterMs);
    const said = await command.said;
    clearTimeout(timer);
    this.#current = undefined;
    const ms = Math.round(performance.now() - began);
    const words2 = said.code === 0 ? '' : said.out + said.err;
    this.#log(`godwit remodel ${words.join(' ')}: ${said.code} in ${ms} ms ${words2}`);
    return said;
  }

  /** A doom that comes too late for one command is the next one's. */
  #strike(command: Running, doom: Doom): void {
    this.#dooms.splice(this.#dooms.indexOf(doom), 1);
    this.#log(`✂ ${doom.victim}`);
    this.#killed(doom.victim);
    command.kill();
  }

  async #phase(): Promise<string | undefined> {
    try {
      const { rows } = await this.query(`select phase from godwit.remodel where name = 'subs'`);
      return rows[0]?.['phase'] as string | undefined;
    } catch {
      return undefined;
    }
  }
}
