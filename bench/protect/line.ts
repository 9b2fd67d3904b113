import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { FarLink } from '../../examples/volume/far-link.ts';
import { note } from '../lib/print.ts';
import { median } from '../lib/statistics.ts';

const TIMES = 100;
const MESSAGE = Buffer.alloc(64, 1);

/**
 * What the far line takes there and back when nothing else goes over it, in ms: the median of one small message after
 * the other. It is more than what it is told to delay, as its timers round up.
 */
export async function measureLine(roundTripMs: number): Promise<number> {
  const echo = createServer((socket) =>
    socket
      .setNoDelay(true)
      .on('error', () => socket.destroy())
      .pipe(socket),
  );
  echo.listen(0, '127.0.0.1');
  await once(echo, 'listening');
  const far = new FarLink(roundTripMs);
  const socket = connect(await far.to((echo.address() as AddressInfo).port), '127.0.0.1').setNoDelay(true);
  try {
    await once(socket, 'connect');
    const taken: number[] = [];
    for (let time = 0; time < TIMES; time += 1) {
      const began = performance.now();
      socket.write(MESSAGE);
      await once(socket, 'data');
      taken.push(performance.now() - began);
    }
    const middle = median(taken);
    note(`the line: ${middle.toFixed(2)} ms there and back, told to take ${roundTripMs}`);
    return middle;
  } finally {
    socket.destroy();
    await far.close();
    echo.close();
  }
}
