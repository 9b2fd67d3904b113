import {
  availableFences,
  Cluster,
  judgeSecondaries,
  makeSelection,
  openMedium,
  preflight,
  readCatalog,
  sizeOf,
} from '../../adapters/mongodb/index.ts';
import { GodwitError } from '../../kernel/errors.ts';
import type { Finding } from '../../kernel/finding.ts';
import type { CheckReport, FenceKind, MigrateOptions } from './api.ts';
import { timePointFindings } from './medium/time-point.ts';

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

/** A medium that is named beside the time point may be the way there. */
async function timePointOfMedium(options: MigrateOptions, signal: AbortSignal) {
  const path = options.fromMedium ?? options.medium;
  if (path === undefined) return undefined;
  return { path, timePoint: (await openMedium(path, { signal, onRead: () => undefined })).timePoint };
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
      freezes: options.freeze !== undefined,
    },
  });
  if (options.freeze !== undefined) {
    const about = await freezeFinding(source, options.freeze, signal);
    if (about.severity === 'error') findings.unshift(about);
    else findings.push(about);
  }
  if (options.timePoint !== undefined) {
    const medium = await timePointOfMedium(options, signal);
    findings.push(...(await timePointFindings(source, selection, catalog, options.timePoint, medium)));
  }
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

/** Which member would be frozen, and why none of the others. */
async function freezeFinding(source: Cluster, freeze: string, signal: AbortSignal): Promise<Finding> {
  let verdicts: Awaited<ReturnType<typeof judgeSecondaries>>;
  try {
    verdicts = await judgeSecondaries(source, freeze === 'secondary' ? undefined : freeze, signal);
  } catch (error) {
    if (!(error instanceof GodwitError) || error.code !== 'GW2004') throw error;
    return {
      severity: 'error',
      check: 'freeze',
      message: `Its members could not be looked at: ${error.message}`,
      remedy: 'Grant the privileges named under privileges.source',
    };
  }
  const [first, ...others] = verdicts;
  const reasons = (list: typeof verdicts) => list.map(({ address, why }) => `${address}: ${why}`).join('; ');
  if (!first?.fit) {
    return {
      severity: 'error',
      check: 'freeze',
      message: `No member may be frozen; ${reasons(verdicts)}`,
      remedy: 'Add a hidden member, or leave --freeze out: a copy from live members is as correct',
    };
  }
  return {
    severity: 'info',
    check: 'freeze',
    message: `${first.address} would be frozen (${first.why})${others.length > 0 ? `; not ${reasons(others)}` : ''}`,
  };
}
