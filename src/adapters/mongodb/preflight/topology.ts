import type { Document } from 'bson';
import type { Finding } from '../../../kernel/finding.ts';
import type { Cluster } from '../cluster.ts';
import { ask, type Check, some } from './context.ts';

/** Replica sets on both sides, not one and the same, and what their members mean for us. */
export const checkTopology: Check = async (ctx) => {
  const { source, target, selection, catalog, options } = ctx;
  const findings: Finding[] = [];
  const hellos = await Promise.all([source, target].map((cluster) => cluster.command('admin', { hello: 1 })));
  [source, target].forEach((cluster, i) => {
    if (hellos[i]?.['msg'] !== 'isdbgrid') return;
    findings.push({
      severity: 'error',
      check: `topology.${cluster.name}`,
      message: `The ${cluster.name} is sharded (this is a mongos); Godwit moves replica sets`,
      remedy: 'Give the connection string of a replica set',
    });
  });
  if (findings.length > 0) return findings;
  const configs = await Promise.all(
    [source, target].map(async (cluster) => (await ask(cluster, 'admin', { replSetGetConfig: 1 }))?.['config']),
  );
  findings.push(...arbiterFindings(source, configs[0]), ...arbiterFindings(target, configs[1]));

  if (isSame(hellos[0] ?? {}, hellos[1] ?? {}, configs[0], configs[1])) {
    const overlapping = [...catalog.collections, ...catalog.views]
      .map(({ db, name }) => selection.target(db, name))
      .filter(({ db, collection }) => selection.includes(db, collection))
      .map(({ db, collection }) => `${db}.${collection}`);
    findings.push(
      overlapping.length > 0
        ? {
            severity: 'error',
            check: 'topology.same-cluster',
            message: `Source and target are the same cluster, and what would be written is itself chosen: ${some(overlapping)}`,
            remedy: 'Give the connection string of the other cluster as --to, or --rename to names that are not chosen',
          }
        : {
            severity: 'info',
            check: 'topology.same-cluster',
            message: 'Source and target are the same cluster; the data gets other names on it',
          },
    );
  }
  const hosts = ((hellos[0]?.['hosts'] as string[] | undefined) ?? []).length;
  if (options.readFrom === 'secondary' && hosts < 2) {
    findings.push({
      severity: 'warning',
      check: 'topology.read-from',
      message: 'The source has no secondary to read from; its primary will be read',
      remedy: 'The throttle looks after the neighbours; --max-mbps limits the copy further',
    });
  }
  return findings;
};

function arbiterFindings(cluster: Cluster, config: Document | undefined): Finding[] {
  const members = (config?.['members'] as Document[] | undefined) ?? [];
  const arbiters = members.filter((member) => member['arbiterOnly'] === true).length;
  const bearing = members.filter((member) => member['arbiterOnly'] !== true && Number(member['votes'] ?? 1) > 0).length;
  if (arbiters === 0) return [];
  const majority = Math.floor((bearing + arbiters) / 2) + 1;
  if (bearing > majority) return [];
  return [
    {
      severity: 'warning',
      check: `topology.arbiter.${cluster.name}`,
      message: `The ${cluster.name} has ${arbiters} arbiter and ${bearing} members with data: with one of these down, nothing is acknowledged by a majority any more, and the run waits`,
      remedy: 'Keep all members up while the run lasts, or replace the arbiter by a member with data',
    },
  ];
}

/** By the identity that a set gets when it is made; by shared hosts where it is not told. */
function isSame(a: Document, b: Document, aConfig: Document | undefined, bConfig: Document | undefined): boolean {
  const [aId, bId] = [aConfig, bConfig].map(
    (config) => config?.['settings']?.replicaSetId?.toString() as string | undefined,
  );
  if (aId !== undefined && bId !== undefined) return aId === bId;
  const bHosts = new Set((b['hosts'] as string[] | undefined) ?? []);
  return a['setName'] === b['setName'] && ((a['hosts'] as string[] | undefined) ?? []).some((host) => bHosts.has(host));
}
