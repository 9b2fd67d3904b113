import type { Document } from 'bson';
import { GodwitError } from '../../../kernel/errors.ts';
import type { Finding } from '../../../kernel/finding.ts';
import type { Catalog } from '../catalog.ts';
import type { Cluster } from '../cluster.ts';
import type { Selection } from '../namespaces.ts';

export interface PreflightOptions {
  readonly withUsers: boolean;
  /** As asked for; absent: the narrowest that works. */
  readonly fence?: 'roles' | 'entry' | 'write-block' | 'none';
  readonly fenceWholeCluster?: boolean;
  readonly readFrom?: 'primary' | 'secondary';
  /** A member of the source is to stand still. */
  readonly freezes?: boolean;
}

export interface PreflightContext {
  readonly source: Cluster;
  readonly target: Cluster;
  readonly selection: Selection;
  readonly options: PreflightOptions;
  readonly catalog: Catalog;
  /** Of the chosen collections, without indexes. */
  readonly sizes: { readonly docs: number; readonly bytes: number };
}

/** What checks of the target alone look at. */
export type TargetContext = Pick<PreflightContext, 'target' | 'selection' | 'catalog'>;

/** One topic; finds nothing wrong by returning nothing. */
export type Check = (ctx: PreflightContext) => Promise<Finding[]>;
export type TargetCheck = (ctx: TargetContext) => Promise<Finding[]>;

/** The names of the chosen databases at the source, and their names on the target. */
export function chosenDatabases(ctx: PreflightContext): string[] {
  return [...new Set([...ctx.catalog.collections, ...ctx.catalog.views].map(({ db }) => db))].sort();
}

export function targetDatabases(ctx: TargetContext): string[] {
  const all = [...ctx.catalog.collections, ...ctx.catalog.views];
  return [...new Set(all.map(({ db, name }) => ctx.selection.target(db, name).db))].sort();
}

/** A command whose refusal is no news; undefined then. */
export async function ask(cluster: Cluster, db: string, command: Document): Promise<Document | undefined> {
  try {
    return await cluster.command(db, command);
  } catch (error) {
    if (error instanceof GodwitError && error.code === 'GW2004') return undefined;
    throw error;
  }
}

/** The first few of a list, in words. */
export function some(names: readonly string[], most = 5): string {
  return names.slice(0, most).join(', ') + (names.length > most ? ` and ${names.length - most} more` : '');
}

export function gib(bytes: number): string {
  const value = bytes / 1024 ** 3;
  return value >= 1 ? `${value.toFixed(1)} GiB` : `${(bytes / 1024 ** 2).toFixed(1)} MiB`;
}
