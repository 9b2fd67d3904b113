/** Captures what changes below a directory and does nothing with it: what an agent costs its source between its rounds. */
import { Capture, closeRoots, openRoots } from '../src/adapters/linux-files/index.ts';

const [dir] = process.argv.slice(2);
if (dir === undefined) throw new Error('Which directory?');
const roots = openRoots([{ source: dir, target: '/' }]);
const capture = new Capture(roots, { own: new Set() });
capture.take();
const timer = setInterval(() => {
  const { everything } = capture.take();
  if (everything !== undefined) console.log(`lost: ${everything}`);
}, 500);
process.on('SIGTERM', () => {
  clearInterval(timer);
  capture.take();
  const { events, dirtied, lost } = capture.counts;
  console.log(
    JSON.stringify({ events, dirtied, lost, cpuSeconds: (process.cpuUsage().user + process.cpuUsage().system) / 1e6 }),
  );
  capture[Symbol.dispose]();
  closeRoots(roots);
});
console.log('ready');
