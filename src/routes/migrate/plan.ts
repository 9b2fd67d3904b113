import { type Cluster, makeSelection } from '../../adapters/mongodb/index.ts';
import { GodwitError } from '../../kernel/errors.ts';
import { redactUri } from '../../kernel/redact.ts';
import type { MigrateOptions } from './api.ts';

/**
 * What a run was begun with, kept in its state. The choice of namespaces
 * cannot change afterwards; how fast and by which fence can.
 */
export interface RunPlan {
  readonly from: string;
  readonly to: string;
  /** Identities of the replica sets, so that a run is never gone on with against another pair. */
  readonly sourceId: string;
  readonly targetId: string;
  readonly include: readonly string[];
  readonly exclude: readonly string[];
  readonly rename: readonly string[];
}

/** In place of an identity, for a medium that does not tell where it comes from. */
export const UNKNOWN_SOURCE = '';

/** Makes the plan of a new run. */
export async function makePlan(options: MigrateOptions, source: Cluster, target: Cluster): Promise<RunPlan> {
  return {
    from: redactUri(options.from),
    to: redactUri(options.to),
    sourceId: await source.identity(),
    targetId: await target.identity(),
    include: options.include,
    exclude: options.exclude,
    rename: options.rename,
  };
}

/** Throws GW1003 when the options contradict the plan. */
export async function assertSamePlan(
  plan: RunPlan,
  options: MigrateOptions,
  source: Cluster,
  target: Cluster,
): Promise<void> {
  const now = await makePlan(options, source, target);
  const same = (a: readonly string[], b: readonly string[]) =>
    JSON.stringify([...a].sort()) === JSON.stringify([...b].sort());
  const wrong: string[] = [];
  // The source of a medium that another tool wrote shows itself by its log.
  if (plan.sourceId !== UNKNOWN_SOURCE && now.sourceId !== plan.sourceId)
    wrong.push(`--from is another replica set than ${plan.from}`);
  if (now.targetId !== plan.targetId) wrong.push(`--to is another replica set than ${plan.to}`);
  for (const key of ['include', 'exclude', 'rename'] as const) {
    // What is not said is as it was.
    if (now[key].length > 0 && !same(plan[key], now[key]))
      wrong.push(`--${key} was ${plan[key].join(', ') || 'not given'}`);
  }
  if (wrong.length === 0) return;
  throw new GodwitError('GW1003', `Run ${options.run} was begun differently: ${wrong.join('; ')}`, {
    details: { run: options.run },
  });
}

/**
 * The same choice seen from the target: what flows back after the switch.
 * Patterns for databases may match a renamed one along with others, so they
 * lead to both names.
 */
export function reversedChoice(plan: Pick<RunPlan, 'include' | 'exclude' | 'rename'>): {
  include: string[];
  exclude: string[];
  rename: string[];
} {
  const pairs = plan.rename.map((text) => text.split('=') as [string, string]);
  const databases = pairs.filter(([from]) => !from.includes('.'));
  const collections = pairs.filter(([from]) => from.includes('.'));
  const moved = (pattern: string): string[] => {
    const exact = collections.find(([from]) => from === pattern);
    if (exact) return [exact[1]];
    const dot = pattern.indexOf('.');
    const db = dot < 0 ? pattern : pattern.slice(0, dot);
    const rest = dot < 0 ? '' : pattern.slice(dot);
    const renamed = databases
      .filter(([from]) => makeSelection([db], [], []).touchesDatabase(from))
      .map(([, to]) => to + rest);
    return databases.some(([from]) => from === db) ? renamed : [pattern, ...renamed];
  };
  const include = plan.include.flatMap(moved);
  const exclude = plan.exclude.flatMap(moved);
  const chosen = makeSelection(plan.include, plan.exclude, []);
  const isChosen = (name: string) =>
    chosen.includes(name.slice(0, name.indexOf('.')), name.slice(name.indexOf('.') + 1));
  for (const [from, to] of collections) {
    // A renamed collection may lie outside every pattern; one that is not chosen must not be drawn in by its new name.
    if (!isChosen(from)) {
      if (!isChosen(to)) exclude.push(to);
    } else if (plan.include.length > 0) include.push(to);
  }
  return {
    include: [...new Set(include)],
    exclude: [...new Set(exclude)],
    rename: [...databases, ...collections.filter(([from]) => isChosen(from))].map(([from, to]) => `${to}=${from}`),
  };
}
