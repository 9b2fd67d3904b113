/** Commands that start and stop services: a person gave them, and the shell runs them. */
import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { GodwitError } from '../../kernel/errors.ts';

const TOLD = 600;

export interface ShellCommand {
  /** What it is for, as the flag is called. */
  readonly name: string;
  readonly line: string;
  /** Where its output goes. Not a pipe: a service that it leaves behind would hold that open. */
  readonly logFile: string;
  readonly timeoutMs: number;
}

/** Resolves when it has ended with 0. @throws GodwitError GW5403 otherwise. */
export async function runShell({ name, line, logFile, timeoutMs }: ShellCommand): Promise<void> {
  const log = openSync(logFile, 'w', 0o600);
  const child = spawn('/bin/sh', ['-c', line], { stdio: ['ignore', log, log], detached: true });
  closeSync(log);
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    // The whole group: the shell alone would leave behind what it waits for.
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
  }, timeoutMs);
  const ended = await new Promise<string | undefined>((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('exit', (code, signal) => resolve(code === 0 ? undefined : `it ended with ${signal ?? code}`));
  });
  clearTimeout(timer);
  if (ended === undefined) return;
  const why = isLate ? `it had not ended after ${timeoutMs / 1000} s` : ended;
  const output = readFileSync(logFile, 'utf8').trim().slice(-TOLD);
  throw new GodwitError('GW5403', `${name} failed: ${why}`, {
    details: { command: line, ...(output === '' ? {} : { output }) },
  });
}
