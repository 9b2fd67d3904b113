import { ask, type Check, chosenDatabases, gib, type PreflightContext, targetDatabases } from './context.ts';

/** Room on the target's disk for the data, its indexes and its oplog. */
export const checkTargetSpace: Check = async (ctx) => {
  const free = await freeBytes(ctx);
  if (free === undefined) {
    const message = 'The target does not tell how much disk it has free (dbStats on any of its databases would)';
    return [
      {
        severity: 'warning',
        check: 'target.disk',
        message,
        remedy: `Make sure that it has room for ${gib(ctx.sizes.bytes * 1.2)}`,
      },
    ];
  }
  const { stored, indexes } = await sourceSizes(ctx);
  const loose = 1.2 * (ctx.sizes.bytes + indexes);
  if (free >= loose) return [];
  // Compressed as it is at the source it may still fit; less than that cannot.
  const impossible = free < stored + indexes;
  return [
    {
      severity: impossible ? 'error' : 'warning',
      check: 'target.disk',
      message: `The target has ${gib(free)} free; the data is ${gib(ctx.sizes.bytes)} (${gib(stored)} on the source's disk) and its indexes ${gib(indexes)}`,
      remedy: 'Give the target a larger disk, or free space on it',
    },
  ];
};

/** Of the file system that holds the data; a database that does not exist tells nothing. */
async function freeBytes(ctx: PreflightContext): Promise<number | undefined> {
  for (const db of [...targetDatabases(ctx), 'admin', 'local', 'config']) {
    const stats = await ask(ctx.target, db, { dbStats: 1 });
    const total = Number(stats?.['fsTotalSize'] ?? 0);
    if (total > 0) return total - Number(stats?.['fsUsedSize'] ?? 0);
  }
  return undefined;
}

/** The chosen part of what the source's databases take on disk, by their share of the data. */
async function sourceSizes(ctx: PreflightContext): Promise<{ stored: number; indexes: number }> {
  let data = 0;
  let storage = 0;
  let indexes = 0;
  for (const db of chosenDatabases(ctx)) {
    const stats = await ask(ctx.source, db, { dbStats: 1 });
    data += Number(stats?.['dataSize'] ?? 0);
    storage += Number(stats?.['storageSize'] ?? 0);
    indexes += Number(stats?.['indexSize'] ?? 0);
  }
  const share = data > 0 ? Math.min(1, ctx.sizes.bytes / data) : 0;
  return { stored: storage * share, indexes: indexes * share };
}
