/**
 * Captures what changes below a directory and does nothing with it: what an agent costs its source between its rounds.
 * SIGUSR2 turns it on and off, and is answered by a line of JSON, as the start is; SIGTERM ends it.
 */
import { Capture, closeRoots, openRoots } from '../src/adapters/linux-files/index.ts';

const ROUND_MS = 500;

const [dir] = process.argv.slice(2);
if (dir === undefined) throw new Error('Which directory?');
const roots = openRoots([{ source: dir, target: '/' }]);
const sum = { events: 0, dirtied: 0, lost: 0, milliseconds: 0, cpuMicros: 0 };
let running: { capture: Capture; timer: NodeJS.Timeout; since: number; cpu: NodeJS.CpuUsage } | undefined;

function turnOn(): void {
  const [cpu, since] = [process.cpuUsage(), performance.now()];
  const capture = new Capture(roots, { own: new Set() });
  capture.take();
  running = { capture, since, cpu, timer: setInterval(() => capture.take(), ROUND_MS) };
}

function turnOff({ capture, timer, since, cpu }: NonNullable<typeof running>): void {
  clearInterval(timer);
  capture.take();
  sum.events += capture.counts.events;
  sum.dirtied += capture.counts.dirtied;
  sum.lost += capture.counts.lost;
  capture[Symbol.dispose]();
  const { user, system } = process.cpuUsage(cpu);
  sum.milliseconds += performance.now() - since;
  sum.cpuMicros += user + system;
  running = undefined;
}

function answer(): void {
  console.log(JSON.stringify(sum));
}

// While it is off nothing else keeps the process.
const alive = setInterval(() => undefined, 60_000);
process.on('SIGUSR2', () => {
  if (running === undefined) turnOn();
  else turnOff(running);
  answer();
});
process.on('SIGTERM', () => {
  if (running !== undefined) turnOff(running);
  clearInterval(alive);
  closeRoots(roots);
});
answer();
