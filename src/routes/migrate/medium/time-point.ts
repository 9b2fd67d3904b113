import {
  type Catalog,
  type Cluster,
  canReadAsOf,
  clusterTime,
  delayedMembers,
  namespaceOf,
  OplogSource,
  positionOf,
  type Selection,
  secondsOf,
  structureChangedBetween,
} from '../../../adapters/mongodb/index.ts';
import { GodwitError } from '../../../kernel/errors.ts';
import type { Finding } from '../../../kernel/finding.ts';
import { laterOf, type Position } from '../../../kernel/position.ts';

/** Parts of a transaction lie this close to its end, unless it is prepared. */
const TRANSACTION_SECONDS = 60;
/** Of all timestamps of a second. */
const LAST_ORDINAL = 0xffff_ffff;

/**
 * A time point as people say it: `1795251000:3`, `Timestamp(1795251000, 3)`, or
 * a time, which means everything up to the end of that second. Throws GW1001.
 */
export function parseTimePoint(text: string): Position {
  const stamp = /^(?:Timestamp\()?\s*(\d{9,10})\s*[:,]\s*(\d{1,10})\s*\)?$/.exec(text.trim());
  if (stamp) {
    const [seconds, ordinal] = [Number(stamp[1]), Number(stamp[2])];
    if (seconds <= 0xffff_ffff && ordinal <= LAST_ORDINAL) return positionOf(seconds, ordinal);
  } else if (/^\d{4}-\d{2}-\d{2}/.test(text.trim())) {
    const ms = Date.parse(text.trim());
    if (ms > 0) return positionOf(Math.floor(ms / 1000), LAST_ORDINAL);
  }
  throw new GodwitError('GW1001', `--time-point: ${text} is neither a time nor a cluster timestamp`, {
    details: { option: 'time-point', value: text },
  });
}

/** How a time point in the past can be reached. */
export interface Reach {
  /** The log holds everything since; where it begins. */
  readonly horizon: Position;
  readonly logReaches: boolean;
  readonly structureChanged: boolean;
  /** Collections that cannot be read as of it, with the server's reason. */
  readonly notAsOf: readonly { readonly namespace: string; readonly why: string }[];
}

/** Looks for the ways to a time point. */
export async function reachOf(
  source: Cluster,
  selection: Selection,
  catalog: Catalog,
  point: Position,
): Promise<Reach> {
  const horizon = await new OplogSource({ cluster: source, selection, readFrom: 'primary' }).horizon();
  const logReaches = horizon <= point;
  const structureChanged = logReaches && (await structureChangedBetween(source, selection, point, catalog.position));
  const notAsOf = [];
  for (const spec of catalog.collections) {
    const can = await canReadAsOf(source, spec, point);
    if (can !== true) notAsOf.push({ namespace: namespaceOf(spec), why: can });
  }
  return { horizon, logReaches, structureChanged, notAsOf };
}

/** The catalog as of a time point in the past, and where its log must begin. Throws GW2106. */
export async function asOf(
  source: Cluster,
  selection: Selection,
  catalog: Catalog,
  text: string,
): Promise<{ catalog: Catalog; start: Position }> {
  const point = parseTimePoint(text);
  const refuse = (why: string) =>
    new GodwitError('GW2106', `The time point ${words(point)} cannot be reached: ${why}`, {
      details: { timePoint: point },
    });
  if (point > catalog.position) throw refuse('it lies in the future');
  const reach = await reachOf(source, selection, catalog, point);
  if (!reach.logReaches) throw refuse(`the log begins at ${words(reach.horizon)}`);
  if (reach.structureChanged) throw refuse('structure of the chosen namespaces was changed since');
  const start = positionOf(secondsOf(point) - TRANSACTION_SECONDS, 0);
  return { catalog: { ...catalog, position: point }, start: laterOf(start, reach.horizon) };
}

/** What `check --time-point` says: every way, and whether it leads there. */
export async function timePointFindings(
  source: Cluster,
  selection: Selection,
  catalog: Catalog,
  text: string,
  medium: { readonly path: string; readonly timePoint: Position | undefined } | undefined,
): Promise<Finding[]> {
  const point = parseTimePoint(text);
  if (point > catalog.position) {
    const message = `The time point ${words(point)} lies in the future; the source is at ${words(catalog.position)}`;
    return [{ severity: 'error', check: 'time-point', message, remedy: 'Choose one in the past, or leave it out' }];
  }
  const findings: Finding[] = [];
  const info = (check: string, message: string) => findings.push({ severity: 'info', check, message });
  const reach = await reachOf(source, selection, catalog, point);
  const byLog = reach.logReaches && !reach.structureChanged;
  if (!reach.logReaches) info('time-point.log', `Not by the log: it begins at ${words(reach.horizon)}`);
  else if (reach.structureChanged) info('time-point.log', 'Not by the log: structure was changed since');
  else info('time-point.log', `By the log, which reaches back to ${words(reach.horizon)}: \`export --time-point\``);
  const all = catalog.collections.length;
  const exact = all - reach.notAsOf.length;
  const first = reach.notAsOf[0];
  info(
    'time-point.snapshot',
    `${exact} of ${all} collections can be read exactly as of it now${first ? `; not ${first.namespace}: ${first.why}` : ''}`,
  );
  const delayed = await delayedMembers(source);
  for (const { host, delaySeconds, applied } of delayed) {
    const before = applied !== undefined && applied <= point;
    const where = `which stays ${delaySeconds} s behind and is ${applied ? `at ${words(applied)}` : 'not answering'}`;
    info(
      'time-point.delayed',
      before && byLog
        ? `Exactly, by the member ${host}, ${where}: an export waits until it comes to the time point`
        : `Not by the member ${host}, ${where}`,
    );
  }
  const byMedium = medium?.timePoint !== undefined && medium.timePoint <= point;
  if (medium) {
    const when = medium.timePoint ? words(medium.timePoint) : 'none: it has no log';
    info('time-point.medium', `${byMedium ? 'By' : 'Not by'} the medium ${medium.path}; its time point is ${when}`);
  }
  if (!byLog && !byMedium) {
    findings.push({
      severity: 'error',
      check: 'time-point',
      message: `No way leads to the time point ${words(point)}`,
      remedy: 'Choose a later one, or a medium that was made before it',
    });
  }
  return findings;
}

function words(point: Position): string {
  const { t, i } = clusterTime(point);
  const time = new Date(t * 1000).toISOString();
  // A time that was said as one.
  return i === LAST_ORDINAL ? time : `${time} (${t}:${i})`;
}
