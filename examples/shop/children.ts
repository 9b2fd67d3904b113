/** The demo's child processes: the two applications, and the godwit command as a person would type it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';
import type { Story } from './print.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const PATIENCE_MS = 30_000;
const QUOTE_EVERY_MS = 4000;

/** An application that runs until it is told to stop. */
export class App<News extends { readonly type: string }> {
  readonly #name: string;
  readonly #child: ChildProcess;
  readonly #news: News[] = [];
  #tail = '';

  constructor(name: string, script: string, settings: object) {
    this.#name = name;
    this.#child = spawn(
      process.execPath,
      ['--import', 'tsx', resolve(import.meta.dirname, script), JSON.stringify(settings)],
      { cwd: ROOT, stdio: ['ignore', 'ignore', 'pipe', 'ipc'] },
    );
    this.#child.stderr?.on('data', (text: Buffer) => {
      this.#tail = (this.#tail + text).slice(-2000);
    });
    this.#child.on('message', (news) => void this.#news.push(news as News));
  }

  heard<T extends News['type']>(type: T): Extract<News, { type: T }> | undefined {
    return this.#news.find((news): news is Extract<News, { type: T }> => news.type === type);
  }

  /** Waits until the application says this; fails when it ends, or says nothing for half a minute. */
  async until<T extends News['type']>(type: T, signal: AbortSignal): Promise<Extract<News, { type: T }>> {
    const deadline = performance.now() + PATIENCE_MS;
    for (;;) {
      signal.throwIfAborted();
      const news = this.heard(type);
      if (news) return news;
      if (this.#hasEnded())
        throw new Error(`the ${this.#name} ended by itself: ${this.#tail.trim() || 'no reason given'}`);
      if (performance.now() > deadline) throw new Error(`the ${this.#name} did not become "${type}" in time`);
      await new Promise((done) => setTimeout(done, 20));
    }
  }

  /** Has the application end what it began, and end. */
  async stop(signal: AbortSignal): Promise<Extract<News, { type: 'stopped' }>> {
    if (this.#child.connected) this.#child.send('stop');
    return this.until('stopped' as News['type'], signal) as Promise<Extract<News, { type: 'stopped' }>>;
  }

  async kill(): Promise<void> {
    if (this.#hasEnded()) return;
    const ended = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await ended;
  }

  #hasEnded(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }
}

export interface GodwitPlace {
  readonly cwd: string;
  /** GODWIT_FROM and GODWIT_TO, so that no password is seen in the list of processes. */
  readonly env: Readonly<Record<string, string>>;
}

/** Runs `godwit migrate …` from the built command line; throws when it fails. */
export async function godwit(
  story: Story,
  place: GodwitPlace,
  words: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  story.command(`godwit migrate ${words.join(' ')}`);
  const child = spawn(process.execPath, [resolve(ROOT, 'dist/cli/main.js'), 'migrate', ...words], {
    cwd: place.cwd,
    env: { ...process.env, ...place.env },
    // On a terminal godwit draws its own live view; otherwise its lines become part of the story.
    stdio: ['ignore', story.isTerminal ? story.fd : 'pipe', 'pipe'],
  });
  const interrupt = () => child.kill('SIGTERM');
  signal.addEventListener('abort', interrupt, { once: true });
  const complaint: string[] = [];
  const quotable = thinOut();
  for (const stream of [child.stdout, child.stderr]) {
    if (!stream) continue;
    createInterface({ input: stream }).on('line', (line) => {
      if (line.trim() === '') return;
      if (stream === child.stderr) complaint.push(line.trim());
      if (quotable(line)) story.quote(line);
    });
  }
  try {
    const [code, killedBy] = await once(child, 'close');
    signal.throwIfAborted();
    if (code === 0) return;
    const how = killedBy ?? `exit ${code}`;
    throw new Error(
      `godwit migrate ${words[0]} failed (${how})${complaint.length > 0 ? `: ${complaint.slice(0, 2).join(': ')}` : ''}`,
    );
  } finally {
    signal.removeEventListener('abort', interrupt);
  }
}

/** Without a terminal godwit says where it stands every second; a story has room for a line now and then. */
function thinOut(): (line: string) => boolean {
  let lastPhase = '';
  let lastMs = Number.NEGATIVE_INFINITY;
  return (line) => {
    const phase = /^\d\d:\d\d:\d\dZ shop ([\w-]+),/.exec(line)?.[1];
    if (phase === undefined) return true;
    const now = performance.now();
    if (phase === lastPhase && now - lastMs < QUOTE_EVERY_MS) return false;
    lastPhase = phase;
    lastMs = now;
    return true;
  };
}
