import { expect, test } from 'vitest';
import { type ApplyCheckpoint, type ApplyOptions, applyLog, intentKey } from './apply.ts';
import { GodwitError } from './errors.ts';
import type { Applied, ChangeLog, CheckpointStore, LogApplier, LogBlock } from './ports.ts';
import { POSITION_ZERO, type Position } from './position.ts';

const at = (n: number) => String(n).padStart(4, '0') as Position;

/** A log of numbered entries, two to a block, that ends instead of waiting. */
function listLog(count: number) {
  const trims: Position[] = [];
  const reads: Position[] = [];
  const log: ChangeLog = {
    end: at(count),
    sizeBytes: 0,
    append: async () => undefined,
    sync: async () => undefined,
    close: async () => undefined,
    trim: async (upTo) => void trims.push(upTo),
    async *read(after) {
      reads.push(after);
      for (let n = 1; n <= count; n += 2) {
        if (at(n + 1) > after) yield { first: at(n), last: at(n + 1), count: 2, bytes: Buffer.alloc(0) };
      }
    },
  };
  return { log, trims, reads };
}

function memoryStore(checkpoint: ApplyCheckpoint) {
  const values = new Map<string, unknown>([['cp', checkpoint]]);
  const history: ApplyCheckpoint[] = [];
  const store: Pick<CheckpointStore, 'get' | 'set'> = {
    get: <T>(key: string) => structuredClone(values.get(key)) as T,
    set: (key, value) => {
      values.set(key, structuredClone(value));
      if (key === 'cp') history.push(structuredClone(value) as ApplyCheckpoint);
    },
  };
  return { store: store as CheckpointStore, history };
}

const START: ApplyCheckpoint = { position: POSITION_ZERO, restartFrom: POSITION_ZERO, entries: 0, memory: { made: 0 } };

function setUp(
  count: number,
  steps: (block: LogBlock) => readonly Partial<Applied>[],
  over: Partial<ApplyOptions> = {},
) {
  const { log, trims, reads } = listLog(count);
  const { store, history } = memoryStore(START);
  const opened: ApplyCheckpoint[] = [];
  const clock = { at: 0, now: () => clock.at, sleep: async () => undefined };
  const stop = new AbortController();
  const applier: LogApplier = {
    async *apply(block) {
      for (const step of steps(block)) {
        yield {
          position: block.last,
          restartFrom: block.last,
          targetPosition: block.last,
          entries: 2,
          writes: 1,
          committedAtMs: 0,
          ...step,
        };
      }
    },
  };
  const options: ApplyOptions = {
    log,
    store,
    checkpointKey: 'cp',
    maxBlockBytes: 1,
    openApplier: async (from) => {
      opened.push(from);
      return applier;
    },
    retry: { clock, signal: stop.signal, deadlineMs: 60_000 },
    onApplied: () => undefined,
    ...over,
  };
  return { options, history, opened, trims, reads, clock, stop };
}

test('each step is committed before the next is asked for, and told only then', async () => {
  const { options, history } = setUp(4, () => []);
  const order: string[] = [];
  await applyLog({
    ...options,
    openApplier: async () => ({
      async *apply(block) {
        for (const half of [block.first, block.last]) {
          order.push(`work ${half}, committed ${history.at(-1)?.position ?? 'nothing'}`);
          yield { position: half, restartFrom: half, targetPosition: half, entries: 1, writes: 1, committedAtMs: 0 };
        }
      },
    }),
    onApplied: (applied, checkpoint) => {
      expect(history.at(-1)).toEqual(checkpoint);
      order.push(`told ${applied.position}`);
    },
  });
  expect(order).toEqual([
    'work 0001, committed nothing',
    'told 0001',
    'work 0002, committed 0001',
    'told 0002',
    'work 0003, committed 0002',
    'told 0003',
    'work 0004, committed 0003',
    'told 0004',
  ]);
  expect(history.map(({ entries }) => entries)).toEqual([1, 2, 3, 4]);
});

test('memory is in the same commit as its position, and stays until the applier gives another', async () => {
  const { options, history } = setUp(6, (block) => [block.last === at(4) ? { memory: { made: 1 } } : {}]);
  await applyLog(options);
  expect(history.map(({ position, memory }) => [position, memory])).toEqual([
    [at(2), { made: 0 }],
    [at(4), { made: 1 }],
    [at(6), { made: 1 }],
  ]);
});

test('after a fault a new applier goes on from the checkpoint, and reads from where it says', async () => {
  let faults = 0;
  const { options, history, opened, reads } = setUp(6, (block) => {
    if (block.last === at(6) && faults < 2) {
      faults += 1;
      throw new GodwitError('GW3001', 'Lost');
    }
    return [{ restartFrom: block.first }];
  });
  await applyLog(options);
  expect(opened.map(({ position }) => position)).toEqual([POSITION_ZERO, at(4), at(4)]);
  expect(reads).toEqual([POSITION_ZERO, at(3), at(3)]);
  expect(history.at(-1)?.position).toBe(at(6));
});

test('what can never succeed is thrown; what was applied before stays committed', async () => {
  const { options, history } = setUp(6, (block) => {
    if (block.last === at(4)) throw new GodwitError('GW5001', 'Refused');
    return [{}];
  });
  await expect(applyLog(options)).rejects.toMatchObject({ code: 'GW5001' });
  expect(history.map(({ position }) => position)).toEqual([at(2)]);
});

test('the log is let go of up to restartFrom, now and then', async () => {
  const { options, trims, clock } = setUp(8, (block) => {
    clock.at += 4_000;
    return [{ restartFrom: block.first }];
  });
  await applyLog(options);
  expect(trims).toEqual([at(3), at(7)]);
});

test('the log is never let go of past what must be retained', async () => {
  const { options, trims, clock } = setUp(8, () => {
    clock.at += 6_000;
    return [{}];
  });
  const retained = [at(1), undefined, at(9), at(3)];
  await applyLog({ ...options, retainFrom: () => retained.shift() });
  expect(trims).toEqual([at(1), at(4), at(6), at(3)]);
});

test('how far it may get is said before anything of a block is done, and never taken back', async () => {
  const { options } = setUp(4, () => []);
  const said: (Position | undefined)[] = [];
  const intent = () => options.store.get<Position>(intentKey('cp'));
  const openApplier = async (): Promise<LogApplier> => ({
    // biome-ignore lint/correctness/useYield: nothing of it is ever done
    async *apply() {
      said.push(intent());
    },
  });
  await applyLog({ ...options, openApplier });
  expect(said).toEqual([at(2), at(4)]);
  // A process before this one had begun a block that reached further.
  options.store.set(intentKey('cp'), at(3));
  await applyLog({ ...options, openApplier });
  expect(said.slice(2)).toEqual([at(3), at(4)]);
});
