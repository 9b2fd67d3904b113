import { expect, test } from 'vitest';
import { GodwitError } from '../errors.ts';
import { orAborted } from './or-aborted.ts';

test('gives what the work gives', async () => {
  const stop = new AbortController();
  expect(await orAborted(Promise.resolve(7), stop.signal)).toBe(7);
  expect(await orAborted(Promise.resolve(undefined), stop.signal)).toBeUndefined();
  await expect(orAborted(Promise.reject(new Error('work')), stop.signal)).rejects.toThrow('work');
});

test('throws as soon as the signal is set, also when it was set before', async () => {
  const stop = new AbortController();
  const waiting = orAborted(new Promise(() => {}), stop.signal);
  stop.abort();
  await expect(waiting).rejects.toMatchObject({ code: 'GW8001' });
  await expect(orAborted(new Promise(() => {}), stop.signal)).rejects.toMatchObject({ code: 'GW8001' });
  const reason = new GodwitError('GW8001', 'closed');
  await expect(orAborted(new Promise(() => {}), AbortSignal.abort(reason))).rejects.toBe(reason);
});
