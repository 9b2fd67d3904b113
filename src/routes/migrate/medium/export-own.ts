import {
  ArchiveSink,
  DirectorySink,
  type Manifest,
  MediumExporter,
  type MediumSink,
  namespaceOf,
  sizeOf,
} from '../../../adapters/mongodb/index.ts';
import { systemClock } from '../../../kernel/clock.ts';
import { copyAll } from '../../../kernel/copy.ts';
import { invariant } from '../../../kernel/errors.ts';
import type { Chunk } from '../../../kernel/ports.ts';
import type { Position } from '../../../kernel/position.ts';
import { withRetry } from '../../../kernel/retry.ts';
import { watchNeighbours } from '../neighbours.ts';
import { VERSION } from '../version.ts';
import type { ExportWork, WrittenData } from './export-work.ts';

/** Writes the collections by Godwit itself: as bytes, several at once, as of the time point where the server can. */
export async function writeOwn(work: ExportWork): Promise<WrittenData> {
  const { catalog } = work;
  const sink = await openSink(work);
  try {
    const collections = await writeCollections(work, sink);
    return {
      sink,
      describe: async (files) => ({
        tool: `godwit ${VERSION}`,
        collections,
        views: catalog.views.map(({ db, name }) => ({ db, name })),
        files,
        listedBy: catalog.position,
        snapshot: collections.every((one) => one.snapshot),
        ...(sink instanceof ArchiveSink ? { preludeBytes: sink.preludeBytes } : {}),
      }),
    };
  } catch (error) {
    await sink.abandon();
    throw error;
  }
}

async function openSink(work: ExportWork): Promise<MediumSink> {
  const { medium, compress = 'none', lanes } = work.options;
  const { catalog, serverVersion } = work;
  const about = { path: medium, compression: compress, serverVersion, toolVersion: `godwit ${VERSION}` };
  const units = catalog.collections.map(({ uuid, db, name, capped }) => ({ key: uuid, db, name, ordered: capped }));
  return work.container === 'directory'
    ? DirectorySink.create(
        about,
        catalog,
        units,
        Object.values(work.done).map((one) => one.file),
      )
    : ArchiveSink.create({ ...about, lanes }, catalog, units);
}

async function writeCollections(work: ExportWork, sink: MediumSink): Promise<Manifest['collections']> {
  const { catalog, source, delayed, throttle, meter, teller, signal } = work;
  const connectNow = (s: AbortSignal) =>
    work.readFrom === 'primary' ? source.connectPrimary(s) : source.connectSecondary(s);
  const specs = new Map(catalog.collections.map((spec) => [spec.uuid, spec]));
  const specOf = (uuid: string) => {
    const spec = specs.get(uuid);
    invariant(spec, `Chunk of a collection that is not in the catalog: ${uuid}`);
    return spec;
  };
  const chunks = await withRetry(work.retry(), () => planWhole(work));
  const sum = (pick: (chunk: Chunk) => number) => chunks.reduce((total, chunk) => total + pick(chunk), 0);
  teller.total(
    sum((chunk) => chunk.docs),
    sum((chunk) => chunk.bytes),
  );
  teller.step(delayed ? `exporting from ${delayed}, as it comes to the time point` : 'exporting');
  const holds = new Map<string, Position>();
  const exporter = new MediumExporter({
    source,
    connect: (s) => (delayed ? source.connectMember(delayed, s) : connectNow(s)),
    connectNow,
    sink,
    spec: specOf,
    timePoint: catalog.position,
    snapshot: true,
    throttle,
    onInexact: (uuid, why) => work.onInexact(namespaceOf(specOf(uuid)), why),
    onNaturalStart: (uuid, position) => void holds.set(uuid, position),
  });
  const neighbours = await watchNeighbours({
    ...work,
    clock: systemClock,
    waitingFor: undefined,
    store: { event: work.tell },
  });
  const written = new Map(Object.values(work.done).map(({ collection }) => [collection.uuid, collection]));
  const finish = async (uuid: string): Promise<void> => {
    if (written.has(uuid)) return;
    const { db, name } = specOf(uuid);
    const { data, file } = await sink.finish(uuid);
    const collection = {
      ...data,
      db,
      name,
      uuid,
      snapshot: exporter.isExact(uuid),
      holds: holds.get(uuid) ?? catalog.position,
    };
    written.set(uuid, collection);
    if (file) await work.keep(uuid, { collection, file });
  };
  try {
    await copyAll({
      copier: exporter,
      lanes: work.options.lanes,
      units: catalog.collections.map((spec) => spec.uuid),
      ledger: { pending: () => chunks, done: () => undefined },
      finishUnit: finish,
      retry: work.retry(),
      onProgress: (unit, docs, bytes) => {
        meter.copied(unit, docs, bytes);
        teller.fault(undefined);
      },
      gate: () => Promise.resolve(),
    });
  } finally {
    await neighbours.stop();
    exporter.close();
  }
  signal.throwIfAborted();
  return catalog.collections.map(({ uuid }) => {
    const collection = written.get(uuid);
    invariant(collection, 'A collection was not finished');
    return collection;
  });
}

/** A chunk for each collection, large ones first, so that the lanes end together. */
async function planWhole({ catalog, source, done }: ExportWork): Promise<Chunk[]> {
  const planned: Omit<Chunk, 'id'>[] = [];
  for (const spec of catalog.collections) {
    if (done[spec.uuid]) continue;
    planned.push({ unit: spec.uuid, bounds: Buffer.alloc(0), ...(await sizeOf(source, spec)) });
  }
  planned.sort((a, b) => b.bytes - a.bytes);
  return planned.map((chunk, id) => ({ ...chunk, id }));
}
