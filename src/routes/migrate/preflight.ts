import {
  availableFences,
  Cluster,
  makeSelection,
  preflight,
  readCatalog,
  sizeOf,
} from '../../adapters/mongodb/index.ts';
import { GodwitError } from '../../kernel/errors.ts';
import type { Finding } from '../../kernel/finding.ts';
import type { CheckReport, FenceKind, MigrateOptions } from './api.ts';

/** Everything that stands in the way, before anything is touched. */
export async function check(options: MigrateOptions, signal: AbortSignal): Promise<CheckReport> {
  const source = await Cluster.connect('source', options.from);
  try {
    const target = await Cluster.connect('target', options.to);
    try {
      return await inspect(options, source, target, signal);
    } finally {
      await target.close();
    }
  } finally {
    await source.close();
  }
}

/** Throws GW2001 with every finding that bars the run. */
export async function assertReady(
  options: MigrateOptions,
  source: Cluster,
  target: Cluster,
  signal: AbortSignal,
): Promise<void> {
  const report = await inspect(options, source, target, signal);
  if (report.ok) return;
  const errors = report.findings.filter((finding) => finding.severity === 'error');
  throw new GodwitError('GW2001', errors.map((finding) => finding.message).join('; '), {
    details: { findings: errors.map((finding) => `${finding.check}: ${finding.message}`) },
  });
}

async function inspect(
  options: MigrateOptions,
  source: Cluster,
  target: Cluster,
  signal: AbortSignal,
): Promise<CheckReport> {
  const selection = makeSelection(options.include, options.exclude, options.rename);
  const catalog = await readCatalog(source, selection, signal);
  const sizes = { docs: 0, bytes: 0 };
  for (const spec of catalog.collections) {
    const { docs, bytes } = await sizeOf(source, spec);
    sizes.docs += docs;
    sizes.bytes += bytes;
  }
  const findings: Finding[] = await preflight({
    source,
    target,
    selection,
    catalog,
    sizes,
    options: {
      withUsers: options.withUsers,
      fence: options.fence,
      fenceWholeCluster: options.fenceWholeCluster,
      readFrom: options.readFrom,
    },
  });
  const fence = await fencePlan(options, source);
  const readFrom = options.readFrom ?? ((await source.members()).hosts.length > 1 ? 'secondary' : 'primary');
  return {
    version: 1,
    ok: !findings.some((finding) => finding.severity === 'error'),
    findings,
    plan: { collections: catalog.collections.length, documents: sizes.docs, bytes: sizes.bytes, ...fence, readFrom },
  };

  async function fencePlan(o: MigrateOptions, cluster: Cluster): Promise<{ fence: FenceKind; fenceReason: string }> {
    if (o.fence) return { fence: o.fence, fenceReason: 'asked for by --fence' };
    const offers = await availableFences({ cluster, selection });
    const roles = offers.find((offer) => offer.kind === 'roles');
    if (roles?.ok) return { fence: 'roles', fenceReason: roles.reason };
    return { fence: 'none', fenceReason: `roles: ${roles?.reason ?? 'not possible'}; the cutover will need --fence` };
  }
}
