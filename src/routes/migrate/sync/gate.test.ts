import { expect, test } from 'vitest';
import { waitFor } from '../../../../test/servers/index.ts';
import { systemClock } from '../../../kernel/clock.ts';
import { GodwitError } from '../../../kernel/errors.ts';
import type { ChangeSource, LogBlock } from '../../../kernel/ports.ts';
import type { Position } from '../../../kernel/position.ts';
import { Throttle } from '../../../kernel/throttle.ts';
import { GatedSource } from './gate.ts';

const at = (n: number) => n.toString(16).padStart(16, '0') as Position;

/** A log in memory: gives what it holds, then waits. */
class Log implements ChangeSource {
  end = 0;
  streams = 0;
  /** Thrown when it is asked for while it is being closed. */
  closingFails = false;

  async *stream(after: Position, signal: AbortSignal): AsyncIterable<LogBlock> {
    this.streams += 1;
    for (let n = Number.parseInt(after || '0', 16) + 1; ; n += 1) {
      while (n > this.end && !signal.aborted) await systemClock.sleep(2, signal);
      if (signal.aborted) {
        if (this.closingFails) throw new GodwitError('GW8001', 'Stopped on request');
        return;
      }
      yield { first: at(n), last: at(n), count: 1, bytes: Buffer.alloc(1000) };
    }
  }

  async mark(): Promise<Position> {
    return at(this.end);
  }

  async horizon(): Promise<Position> {
    return at(1);
  }
}

const A_WHILE_MS = 60;

test('gives nothing while it is closed, and goes on where it was', async () => {
  const log = new Log();
  const gate = new GatedSource(log, new Throttle(systemClock));
  const over = new AbortController();
  const seen: string[] = [];
  const reading = (async () => {
    for await (const block of gate.stream(at(0), over.signal)) seen.push(block.last);
  })();
  const given = (count: number) => waitFor(() => seen.length === count, { timeoutMs: 10_000, what: `${count} blocks` });
  log.end = 3;
  await systemClock.sleep(A_WHILE_MS);
  expect(log.streams).toBe(0);
  gate.open();
  gate.open();
  await given(3);
  gate.close();
  log.end = 7;
  await systemClock.sleep(A_WHILE_MS);
  expect(seen.length).toBe(3);
  // What a source throws because it is being closed is no fault.
  log.closingFails = true;
  gate.open();
  await given(7);
  gate.close();
  log.end = 9;
  gate.open();
  await given(9);
  expect(seen).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9].map(at));
  expect([gate.entries, gate.bytes]).toEqual([9, 9000]);
  over.abort();
  await reading;
});
