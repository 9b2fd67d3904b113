/** The godwit command, as a person would type it. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';
import type { Story } from '../shop/print.ts';

const ROOT = resolve(import.meta.dirname, '../..');

export interface Place {
  /** Where archives and lists of identities are written. */
  readonly cwd: string;
  /** GODWIT_DB, so that no password is seen in the list of processes. */
  readonly databaseUrl: string;
  readonly signal: AbortSignal;
}

/** Runs `godwit remodel …` from the built command line, and shows what it says. @throws when it fails. */
export async function godwit(story: Story, place: Place, words: readonly string[]): Promise<void> {
  const { code, complaint } = await tell(story, place, words);
  if (code !== 0) throw new Error(`godwit remodel ${words.join(' ')} failed (${code})${complaint}`);
}

/** The same where it is right that it refuses. @throws when it does not. */
export async function godwitRefuses(story: Story, place: Place, words: readonly string[]): Promise<void> {
  const { code } = await tell(story, place, words);
  if (code === 0) throw new Error(`godwit remodel ${words.join(' ')} should have been refused`);
}

/** Gives what `godwit remodel … --json` answers. */
export async function godwitJson(place: Place, words: readonly string[]): Promise<unknown> {
  const lines: string[] = [];
  const { code, complaint } = await run(place, [...words, '--json'], (line) => lines.push(line));
  if (code !== 0) throw new Error(`godwit remodel ${words.join(' ')} failed (${code})${complaint}`);
  return JSON.parse(lines.join('\n'));
}

/** Of lines that differ in numbers alone only the last is shown, and no hashes: they are in the database. */
async function tell(story: Story, place: Place, words: readonly string[]): ReturnType<typeof run> {
  story.command(`godwit remodel ${words.join(' ')}`);
  const shapeOf = (line: string) => line.replaceAll(/\d+/g, '0');
  let held: string | undefined;
  const outcome = await run(place, words, (line) => {
    if (/^proof [0-9a-f]+$/.test(line)) return;
    if (held !== undefined && shapeOf(held) !== shapeOf(line)) story.quote(held);
    held = line;
  });
  if (held !== undefined) story.quote(held);
  return outcome;
}

async function run(
  { cwd, databaseUrl, signal }: Place,
  words: readonly string[],
  heard: (line: string) => void,
): Promise<{ readonly code: number | null; readonly complaint: string }> {
  const definition = resolve(import.meta.dirname, 'after/subs.ts');
  const child = spawn(
    process.execPath,
    // The definition is TypeScript: tsx lets a Node that cannot read it do so.
    ['--import', import.meta.resolve('tsx'), resolve(ROOT, 'dist/cli/main.js'), 'remodel', ...words],
    {
      cwd,
      env: { ...process.env, GODWIT_DB: databaseUrl, GODWIT_DEFINITION: definition },
      stdio: ['ignore', 'pipe', 'pipe'],
      signal,
    },
  );
  const complaints: string[] = [];
  createInterface({ input: child.stdout }).on('line', (line) => {
    if (line.trim() !== '') heard(line);
  });
  createInterface({ input: child.stderr }).on('line', (line) => {
    if (line.trim() === '') return;
    complaints.push(line.trim());
    heard(line);
  });
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, complaint: complaints.length > 0 ? `: ${complaints.slice(0, 3).join(' ')}` : '' };
}
