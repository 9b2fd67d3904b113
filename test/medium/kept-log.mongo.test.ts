/** A medium, a source that has forgotten since, and a log that was kept meanwhile. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { exportMedium, importMedium, run, spool } from '../../src/routes/migrate/index.ts';
import { oldestEntry, present, rollOver } from '../traps/rollover.ts';
import {
  change,
  cutOver,
  differences,
  exportOptions,
  fillBusiness,
  hooksOf,
  importOptions,
  runOptions,
  useWorld,
} from './world.ts';

const world = useWorld({ source: { oplogSizeMB: 16, checkpointSeconds: 1 } });

test('goes on from the kept log where the source’s begins too late', { timeout: 180_000 }, async () => {
  const w = world();
  const name = 'kept';
  const client = await w.source.client();
  await fillBusiness(client, name, 200);
  const stop = new AbortController();
  const folder = join(w.dir, 'log');
  const spooling = spool({ ...runOptions(w, name), spool: folder }, { signal: stop.signal, onStatus: () => undefined });
  spooling.catch(() => undefined);
  await exportMedium(exportOptions(w, name, name), hooksOf(w));
  await change(client, name, 'between');
  const before = await present(w.source);
  await rollOver(w.source, before);
  expect((await oldestEntry(w.source)) > before).toBe(true);
  await change(client, name, 'later');
  await importMedium(importOptions(w, name, name), hooksOf(w));
  await expect(run(runOptions(w, name, { until: 'verified', retryForSeconds: 2 }), hooksOf(w))).rejects.toMatchObject({
    code: 'GW4001',
  });
  await cutOver(w, runOptions(w, name, { spool: folder }));
  stop.abort();
  await spooling.catch(() => undefined);
  expect(await differences(w, [name])).toEqual([]);
});
