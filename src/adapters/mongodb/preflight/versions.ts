import type { Finding } from '../../../kernel/finding.ts';
import type { Cluster } from '../cluster.ts';
import { ask, type Check } from './context.ts';

const OLDEST = 5;

interface Version {
  readonly text: string;
  readonly numbers: readonly number[];
  readonly fcv?: string;
}

/** Both versions are known to Godwit, and the target is not older than the source. */
export const checkVersions: Check = async ({ source, target }) => {
  const [from, to] = await Promise.all([readVersion(source), readVersion(target)]);
  const findings: Finding[] = [
    {
      severity: 'info',
      check: 'versions',
      message: `The source runs MongoDB ${describe(from)}, the target ${describe(to)}`,
    },
  ];
  for (const [name, version] of [
    ['source', from],
    ['target', to],
  ] as const) {
    if ((version.numbers[0] ?? 0) < OLDEST) {
      findings.push({
        severity: 'error',
        check: `versions.${name}`,
        message: `The ${name} runs MongoDB ${version.text}; Godwit reads and writes the log format of ${OLDEST}.0 and later`,
        remedy: `Upgrade the ${name} to ${OLDEST}.0 or later first`,
      });
    }
  }
  const fromFcv = from.fcv ?? majorOf(from);
  const toFcv = to.fcv ?? majorOf(to);
  if (compareVersions(majorOf(to), majorOf(from)) < 0 || compareVersions(toFcv, fromFcv) < 0) {
    findings.push({
      severity: 'error',
      check: 'versions.order',
      message: `The target (${describe(to)}) is older than the source (${describe(from)}): what the source may hold, the target need not know`,
      remedy: 'Upgrade the target, or raise its feature compatibility version',
    });
  }
  if (from.fcv !== undefined && from.fcv !== majorOf(from)) {
    findings.push({
      severity: 'warning',
      check: 'versions.fcv',
      message: `The source's feature compatibility version is ${from.fcv} though it runs ${from.text}: an upgrade seems to be under way`,
      remedy: 'Do not change it while the run lasts; the run stops when it sees that happen',
    });
  }
  return findings;
};

async function readVersion(cluster: Cluster): Promise<Version> {
  const info = await cluster.command('admin', { buildInfo: 1 });
  const parameter = await ask(cluster, 'admin', { getParameter: 1, featureCompatibilityVersion: 1 });
  const fcv = parameter?.['featureCompatibilityVersion']?.version as string | undefined;
  return { text: info['version'], numbers: info['versionArray'], ...(fcv === undefined ? {} : { fcv }) };
}

const majorOf = (version: Version): string => `${version.numbers[0]}.${version.numbers[1]}`;
const describe = (version: Version): string => version.text + (version.fcv === undefined ? '' : `, FCV ${version.fcv}`);

/** `5.0` before `6.0` before `10.0`. */
function compareVersions(a: string, b: string): number {
  const [left, right] = [a, b].map((text) => text.split('.').map(Number));
  return (left?.[0] ?? 0) - (right?.[0] ?? 0) || (left?.[1] ?? 0) - (right?.[1] ?? 0);
}
