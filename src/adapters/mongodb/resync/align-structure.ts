import { GodwitError } from '../../../kernel/errors.ts';
import { failpoint } from '../../../kernel/failpoint.ts';
import { BsonBuilder } from '../bson/builder.ts';
import { elementEnd, findElement, valueOffset } from '../bson/walk.ts';
import { type Catalog, type CollectionSpec, listDatabase, listIndexes, namespaceOf } from '../catalog.ts';
import { dropEmptyDatabase } from '../log/structure-change.ts';
import type { Selection } from '../namespaces.ts';
import {
  createCollection,
  dropCollection,
  dropIndex,
  indexName,
  runRaw,
  runStructure,
  splitIndexes,
} from '../structure.ts';
import { indexDifferences, optionDifferences } from '../verify/structure-diff.ts';
import type { WireConnection } from '../wire/connection.ts';
import type { TargetName } from '../write.ts';

/** Where the target keeps what it has of a collection of the source. */
export interface Placement {
  /** Identity at the source. */
  readonly uuid: string;
  readonly target: TargetName;
}

export interface AlignOptions {
  readonly target: WireConnection;
  readonly catalog: Catalog;
  readonly selection: Selection;
  /** As far as it is known. A wrong one costs time, not correctness: contents are compared afterwards. */
  readonly placements: readonly Placement[];
  /** Told where things are after every step; to be kept, so that the next process knows. */
  readonly moved: (placements: readonly Placement[]) => void;
}

/** What was done to the target's structure, by namespace of the target. */
export interface Alignment {
  readonly renamed: string[];
  readonly dropped: string[];
  readonly created: string[];
  readonly changed: string[];
}

/** A name that nothing else has, while two collections change places. */
const ASIDE = 'godwit_resync_';
const BUCKETS = 'system.buckets.';
/** What collMod can give a collection that stays. */
const MODIFIABLE = new Set(['validator', 'validationLevel', 'validationAction', 'changeStreamPreAndPostImages']);

/**
 * Gives the target the collections of the catalog, and no others, where the
 * changes between are not known. A collection that was renamed is renamed; one
 * that was dropped and made again under its name keeps the documents it has, to
 * be compared; one whose options cannot be changed begins empty. Indexes
 * that must not be there go; those missing are built after the documents are
 * right. Idempotent.
 */
export async function alignStructure(options: AlignOptions): Promise<Alignment> {
  return new Aligning(options).run();
}

class Aligning {
  readonly #options: AlignOptions;
  /** Target name by identity at the source. */
  readonly #places = new Map<string, TargetName>();
  /** Collections there are at the target, of those that are ours; their options, by name. */
  readonly #present = new Map<string, { name: TargetName; options: Buffer }>();
  readonly #done: Alignment = { renamed: [], dropped: [], created: [], changed: [] };

  constructor(options: AlignOptions) {
    this.#options = options;
  }

  async run(): Promise<Alignment> {
    await this.#look();
    await this.#dropUnwanted();
    await this.#dropUnlike();
    await this.#rename();
    await this.#create();
    await this.#dropIndexes();
    return this.#done;
  }

  #wanted(spec: CollectionSpec): TargetName {
    return this.#options.selection.target(spec.db, spec.name);
  }

  async #look(): Promise<void> {
    const { target, catalog, selection, placements } = this.#options;
    const databases = new Set([
      ...catalog.collections.map((spec) => this.#wanted(spec).db),
      ...placements.map((placement) => placement.target.db),
    ]);
    const aside = new Map<string, TargetName>();
    for (const db of databases) {
      for (const item of await listDatabase(target, db)) {
        if (item.type !== 'collection') continue;
        const name = { db, collection: item.name };
        const isAside = item.name.startsWith(ASIDE);
        if (isAside) aside.set(item.name.slice(ASIDE.length), name);
        if (isAside || selection.ownsTarget(db, item.name)) {
          this.#present.set(text(name), { name, options: Buffer.from(item.options) });
        }
      }
    }
    const wanted = new Set(catalog.collections.map((spec) => spec.uuid));
    for (const { uuid, target: name } of placements) {
      if (wanted.has(uuid) && this.#present.has(text(name))) this.#places.set(uuid, name);
    }
    for (const [uuid, name] of aside) if (wanted.has(uuid)) this.#places.set(uuid, name);
    // What has the right name and belongs to nobody else is taken for what is wanted there.
    const taken = new Set([...this.#places.values()].map(text));
    for (const spec of catalog.collections) {
      const name = this.#wanted(spec);
      if (this.#places.has(spec.uuid) || taken.has(text(name)) || !this.#present.has(text(name))) continue;
      this.#places.set(spec.uuid, name);
    }
    this.#tell();
  }

  async #dropUnwanted(): Promise<void> {
    const kept = new Set([...this.#places.values()].map(text));
    const emptied = new Set<string>();
    for (const [key, { name }] of this.#present) {
      if (kept.has(key)) continue;
      await this.#drop(name);
      emptied.add(name.db);
    }
    for (const db of emptied) await dropEmptyDatabase(this.#options.target, db);
  }

  /** What has other options gets them, or begins anew. */
  async #dropUnlike(): Promise<void> {
    const { target, catalog } = this.#options;
    for (const spec of catalog.collections) {
      const name = this.#places.get(spec.uuid);
      const present = name && this.#present.get(text(name));
      if (!name || !present) continue;
      const wrong = optionDifferences(spec.options, present.options).map(({ option }) => option);
      const isMoved = text(name) !== text(this.#wanted(spec));
      // The server renames no time series.
      if (wrong.length === 0 && !(isMoved && spec.series)) continue;
      if (!isMoved && wrong.every((option) => MODIFIABLE.has(option)) && (await modify(target, name, spec))) {
        this.#done.changed.push(text(name));
        continue;
      }
      await this.#drop(name);
      this.#places.delete(spec.uuid);
      this.#tell();
    }
  }

  /** In an order in which every name is free when it is taken; where names go round in a ring, one steps aside. */
  async #rename(): Promise<void> {
    const { catalog } = this.#options;
    for (;;) {
      const moving = catalog.collections.filter((spec) => {
        const place = this.#places.get(spec.uuid);
        return place && text(place) !== text(this.#wanted(spec));
      });
      const [first] = moving;
      if (!first) return;
      const free = moving.find((spec) => !this.#present.has(text(this.#wanted(spec))));
      if (free) await this.#move(free.uuid, this.#wanted(free));
      else await this.#move(first.uuid, { db: this.#wanted(first).db, collection: ASIDE + first.uuid });
    }
  }

  async #move(uuid: string, to: TargetName): Promise<void> {
    const from = this.#places.get(uuid) as TargetName;
    // Views follow the source in their own time: one that is in the way is gone there already.
    const [there] = await listDatabase(this.#options.target, to.db, { name: to.collection, type: 'view' });
    if (there) await dropCollection(this.#options.target, to);
    await runStructure(
      this.#options.target,
      { renameCollection: text(from), to: text(to), writeConcern: { w: 'majority' }, $db: 'admin' },
      [],
    );
    failpoint('resync.structure.mid');
    const present = this.#present.get(text(from));
    if (!present) throw new GodwitError('GW9001', 'A collection that is not there was renamed');
    this.#present.delete(text(from));
    this.#present.set(text(to), { ...present, name: to });
    this.#places.set(uuid, to);
    this.#done.renamed.push(`${text(from)} to ${text(to)}`);
    this.#tell();
  }

  async #create(): Promise<void> {
    const { target, catalog } = this.#options;
    for (const spec of catalog.collections) {
      if (this.#places.has(spec.uuid)) continue;
      const name = this.#wanted(spec);
      await createCollection(target, name, spec);
      this.#places.set(spec.uuid, name);
      this.#done.created.push(text(name));
    }
    this.#tell();
  }

  async #dropIndexes(): Promise<void> {
    const { target, catalog } = this.#options;
    for (const spec of catalog.collections) {
      const name = this.#wanted(spec);
      const wanted = new Map(splitIndexes(spec.indexes).now.map((index) => [indexName(index), index]));
      for (const found of await listIndexes(target, name.db, name.collection.replace(BUCKETS, ''))) {
        const index = wanted.get(indexName(found));
        if (index && indexDifferences(index, found, false).length === 0) continue;
        await dropIndex(target, name, indexName(found));
        this.#done.dropped.push(`${text(name)} index ${indexName(found)}`);
      }
    }
  }

  async #drop(name: TargetName): Promise<void> {
    await dropCollection(this.#options.target, name);
    this.#present.delete(text(name));
    this.#done.dropped.push(text(name));
    failpoint('resync.structure.mid');
  }

  #tell(): void {
    this.#options.moved([...this.#places].map(([uuid, target]) => ({ uuid, target })));
  }
}

/** The indexes that a collection of the target lacks while changes flow. */
export async function missingIndexes(
  target: WireConnection,
  name: TargetName,
  spec: CollectionSpec,
): Promise<Buffer[]> {
  const present = new Set((await listIndexes(target, name.db, name.collection.replace(BUCKETS, ''))).map(indexName));
  return splitIndexes(spec.indexes).now.filter((index) => !present.has(indexName(index)));
}

/** Whether collMod gave a collection the options of the specification. */
async function modify(target: WireConnection, name: TargetName, spec: CollectionSpec): Promise<boolean> {
  const command = new BsonBuilder(1024).begin().appendString('collMod', name.collection);
  for (const option of MODIFIABLE) {
    const at = findElement(spec.options, 0, option);
    if (at >= 0) {
      const { options } = spec;
      command.appendElement(options[at] as number, option, options, valueOffset(options, at), elementEnd(options, at));
    } else if (option === 'validator') command.startDocument(option).end();
    else if (option === 'changeStreamPreAndPostImages')
      command.startDocument(option).appendBool('enabled', false).end();
  }
  try {
    await runRaw(target, command.appendString('$db', name.db).end().finish());
  } catch (error) {
    // What the server does not modify is made anew.
    if (error instanceof GodwitError && error.code === 'GW5001') return false;
    throw error;
  }
  const [now] = await listDatabase(target, name.db, { name: name.collection });
  return now !== undefined && optionDifferences(spec.options, now.options).length === 0;
}

function text(name: TargetName): string {
  return namespaceOf({ db: name.db, name: name.collection });
}
