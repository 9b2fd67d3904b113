import { expect, test } from 'vitest';
import { startChild } from './fixtures/child.ts';
import { tempDir } from './fixtures/temp.ts';
import { RunStore } from './run-store.ts';

test('a kill at any moment leaves phase, values and events in step', { timeout: 60_000 }, async () => {
  const dir = tempDir();
  const made = RunStore.create(dir, 'r', { route: 'migrate', plan: {} });
  made.enter('copying', 'began');
  made.enter('following', 'copied', () => made.set('n', 0));
  made.close();
  let moves = 0;
  for (let round = 0; round < 6; round += 1) {
    const child = startChild('./enter-loop.ts', dir, 'r');
    await child.spoke;
    await new Promise((resolve) => setTimeout(resolve, Math.random() * 120));
    await child.kill();
    using store = RunStore.open(dir, 'r');
    const n = store.get<number>('n') ?? -1;
    expect(store.phase).toBe(n % 2 === 0 ? 'following' : 'verified');
    if (n > 0) expect(store.get('phase seen')).toBe(store.phase);
    const events = store.events(2);
    expect(events).toHaveLength(2 * n);
    events.forEach((event, i) => {
      const round = Math.floor(i / 2) + 1;
      const to = round % 2 === 0 ? 'following' : 'verified';
      expect(event).toMatchObject(
        i % 2 === 0 ? { kind: 'moved', data: { to } } : { kind: 'counted', data: { n: round } },
      );
    });
    moves = n;
  }
  expect(moves).toBeGreaterThan(5);
});
