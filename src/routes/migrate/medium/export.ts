import { randomUUID } from 'node:crypto';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import {
  type Catalog,
  Cluster,
  canReadAsOf,
  claimPlace,
  clearPlace,
  clusterTime,
  containerFor,
  delayedBefore,
  forsakePlace,
  LogFilter,
  logPath,
  MANIFEST_VERSION,
  type Manifest,
  type ManifestData,
  type MediumSink,
  makeSelection,
  manifestPath,
  markPlace,
  namespaceOf,
  OplogSource,
  oldestOpenTransaction,
  type PlaceOptions,
  placeLock,
  readCatalog,
  releasePlace,
  type Selection,
  secondsOf,
  writeManifest,
} from '../../../adapters/mongodb/index.ts';
import { systemClock } from '../../../kernel/clock.ts';
import { GodwitError, invariant, throwIfAborted } from '../../../kernel/errors.ts';
import { follow } from '../../../kernel/follow.ts';
import { earlierOf, POSITION_ZERO, type Position } from '../../../kernel/position.ts';
import { redactUri } from '../../../kernel/redact.ts';
import { type RetryPolicy, withRetry } from '../../../kernel/retry.ts';
import { Throttle } from '../../../kernel/throttle.ts';
import { acquireLock, Spool } from '../../../state/index.ts';
import type { ExportOptions, ExportResult } from '../api.ts';
import { Meter } from '../meter.ts';
import type { RunnerHooks } from '../open-run.ts';
import { BLOCK_BYTES } from '../spool-pass.ts';
import { loadCatalog, storeCatalog } from '../stored-catalog.ts';
import { writeOwn } from './export-own.ts';
import { writeByTool } from './export-tool.ts';
import type { ExportProgress, ExportWork, WrittenData } from './export-work.ts';
import { ProgressTeller } from './progress.ts';
import { asOf, parseTimePoint } from './time-point.ts';

const SYNC_EVERY_MS = 5_000;
const WAIT_MS = 20;
const KEEP_EVERY_MS = 1_000;

/**
 * Writes the chosen namespaces, as of a time point, to a medium: the first
 * half of an import that may be carried out elsewhere and days later. The
 * source's log is kept meanwhile and goes with it.
 */
export async function exportMedium(options: ExportOptions, hooks: RunnerHooks): Promise<ExportResult> {
  const source = await Cluster.connect('source', options.from);
  try {
    return await new Export(options, hooks, source).run();
  } finally {
    await source.close();
  }
}

class Export {
  readonly #options: ExportOptions;
  readonly #hooks: RunnerHooks;
  readonly #source: Cluster;
  readonly #selection: Selection;
  readonly #container: Manifest['container'];
  readonly #throttle = new Throttle(systemClock);
  readonly #meter = new Meter(systemClock);
  readonly #inexact: { namespace: string; why: string }[] = [];
  readonly #teller: ProgressTeller;
  readonly #began = systemClock.now();
  /** Something of the export is at its place. */
  #hasBegun = false;

  constructor(options: ExportOptions, hooks: RunnerHooks, source: Cluster) {
    this.#options = options;
    this.#hooks = hooks;
    this.#source = source;
    this.#selection = makeSelection(options.include, options.exclude, []);
    this.#container = containerFor(options.medium);
    if (options.maxMbps) this.#throttle.limit(options.maxMbps * 1e6, `--max-mbps ${options.maxMbps}`);
    this.#teller = new ProgressTeller('export', options.medium, hooks, this.#meter, this.#throttle);
  }

  async run(): Promise<ExportResult> {
    const { medium, include, exclude } = this.#options;
    const failure = new AbortController();
    const signal = AbortSignal.any([this.#hooks.signal, failure.signal]);
    try {
      const source = await this.#source.identity();
      const place: PlaceOptions = { path: medium, container: this.#container, source, include, exclude };
      const first = await claimPlace(place);
      if (first.state === 'complete') return this.#result(first.manifest, true);
      using _lock = acquireLock(placeLock(medium, this.#container), `The medium ${medium}`, { medium });
      // Another process may have had the lock until now.
      const found = await claimPlace(place);
      if (found.state === 'complete') return this.#result(found.manifest, true);
      const before = found.state === 'begun' ? this.#usable(found.progress) : undefined;
      if (found.state === 'begun' && !before) await clearPlace(place);
      const manifest = await this.#write(place, before, signal, (error) => failure.abort(error)).catch(
        async (error) => {
          // A choice that was mistyped must not bar the place for the right one.
          if (first.state === 'free' && !this.#hasBegun) await forsakePlace(place);
          throw error;
        },
      );
      await writeManifest(manifestPath(medium, this.#container), manifest);
      await releasePlace(medium, this.#container);
      return this.#result(manifest, false);
    } catch (error) {
      throwIfAborted(this.#hooks.signal);
      throw failure.signal.aborted ? failure.signal.reason : error;
    } finally {
      this.#teller.stop();
    }
  }

  /** What an earlier attempt left, if this one can go on with it: an archive and the tools begin again. */
  #usable(progress: unknown): ExportProgress | undefined {
    const { compress = 'none', mediumTool, timePoint } = this.#options;
    const before = progress as ExportProgress | undefined;
    if (!before || this.#container === 'archive' || mediumTool === 'mongodump') return undefined;
    const samePoint = timePoint === undefined || parseTimePoint(timePoint) === before.catalog.position;
    if (!samePoint || before.compression !== compress) return undefined;
    // Somebody may have made room meanwhile.
    const there = Object.entries(before.done).filter(([, { file }]) => {
      const facts = statSync(join(this.#options.medium, file.path), { throwIfNoEntry: false });
      return facts?.size === file.bytes;
    });
    return { ...before, done: Object.fromEntries(there) };
  }

  async #write(
    place: PlaceOptions,
    before: ExportProgress | undefined,
    signal: AbortSignal,
    fail: (error: unknown) => void,
  ): Promise<Manifest> {
    const { medium, compress = 'none', include, exclude, mediumTool } = this.#options;
    const progress = before ?? (await this.#begin(place, signal));
    const { start } = progress;
    const catalog = loadCatalog(progress.catalog);
    if (before) this.#tell('gone-on', { position: catalog.position, complete: Object.keys(before.done).length });
    const work = await this.#workOf(place, progress, catalog, signal);
    const spool = await Spool.open(logPath(medium, this.#container));
    const following = new AbortController();
    const follower = follow({
      source: new OplogSource({ cluster: this.#source, selection: this.#selection, readFrom: work.readFrom }),
      log: spool,
      start,
      retry: this.#retry(AbortSignal.any([signal, following.signal])),
      syncEveryMs: SYNC_EVERY_MS,
    }).catch((error: unknown) => {
      if (!following.signal.aborted) fail(error);
    });
    let written: WrittenData | undefined;
    try {
      written = await (mediumTool === 'mongodump' ? writeByTool(work) : writeOwn(work));
      this.#teller.step('writing the log');
      const log = await this.#writeLog(written.sink, spool, signal);
      following.abort(new GodwitError('GW8001', 'The export is complete'));
      const described = await written.describe(await written.sink.close(), log.end);
      return {
        format: 'godwit-medium',
        version: MANIFEST_VERSION,
        id: randomUUID(),
        madeAt: new Date(systemClock.now()).toISOString(),
        container: this.#container,
        compression: compress,
        source: { id: place.source, address: redactUri(this.#options.from), serverVersion: work.serverVersion },
        include: [...include],
        exclude: [...exclude],
        timePoint: catalog.position,
        timePointAt: timeOf(catalog.position),
        log: { ...log, start },
        ...described,
      };
    } catch (error) {
      await written?.sink.abandon();
      throw error;
    } finally {
      following.abort(new GodwitError('GW8001', 'The export ended'));
      await follower;
      await spool.close();
    }
  }

  /** Chooses the time point, and remembers it for later attempts. */
  async #begin(place: PlaceOptions, signal: AbortSignal): Promise<ExportProgress> {
    this.#teller.step('choosing the time point');
    const { catalog, start } = await this.#chooseTimePoint(signal);
    const { compress = 'none' } = this.#options;
    const progress: ExportProgress = { compression: compress, catalog: storeCatalog(catalog), start, done: {} };
    await markPlace(place, progress);
    this.#hasBegun = true;
    return progress;
  }

  /** The structure as of the first time point, and where the log begins: before the oldest transaction open then. */
  async #chooseTimePoint(signal: AbortSignal): Promise<{ catalog: Catalog; start: Position }> {
    const { include, timePoint } = this.#options;
    const chosen = await withRetry(this.#retry(signal), async () => {
      const present = await readCatalog(this.#source, this.#selection, signal);
      const oldest = await oldestOpenTransaction(this.#source, present.position);
      if (timePoint === undefined) return { catalog: present, start: oldest };
      const { catalog, start } = await asOf(this.#source, this.#selection, present, timePoint);
      return { catalog, start: earlierOf(start, oldest) };
    });
    const { catalog } = chosen;
    if (catalog.collections.length === 0 && catalog.views.length === 0) {
      const chosen = include.length > 0 ? ` (--include ${include.join(',')})` : '';
      throw new GodwitError('GW1001', `The chosen namespaces hold nothing to export${chosen}`, {
        details: { include: [...include] },
      });
    }
    this.#tell('time-point', { position: catalog.position, collections: catalog.collections.length });
    return chosen;
  }

  async #workOf(
    place: PlaceOptions,
    progress: ExportProgress,
    catalog: Catalog,
    signal: AbortSignal,
  ): Promise<ExportWork> {
    const { readFrom } = this.#options;
    const done = { ...progress.done };
    let keptAt = 0;
    const several = (await this.#source.members()).hosts.length > 1;
    const { version } = await this.#source.command('admin', { buildInfo: 1 });
    const delayed = await this.#delayedMember(catalog);
    if (delayed) this.#tell('delayed-member', { member: delayed });
    return {
      options: this.#options,
      source: this.#source,
      selection: this.#selection,
      container: this.#container,
      serverVersion: String(version),
      readFrom: readFrom ?? (several ? 'secondary' : 'primary'),
      delayed,
      catalog,
      done: progress.done,
      keep: async (uuid, one) => {
        done[uuid] = one;
        // All of it is written each time: with many small collections that would be most of the work.
        if (systemClock.now() - keptAt < KEEP_EVERY_MS) return;
        await markPlace(place, { ...progress, done });
        keptAt = systemClock.now();
      },
      throttle: this.#throttle,
      meter: this.#meter,
      teller: this.#teller,
      signal,
      tell: (kind, data) => this.#tell(kind, data),
      onInexact: (namespace, why) => {
        this.#inexact.push({ namespace, why });
        this.#tell('not-as-of-time-point', { namespace, why });
      },
      retry: () => this.#retry(signal),
    };
  }

  /** For a time point that the others have forgotten: a member that is not there yet. */
  async #delayedMember(catalog: Catalog): Promise<string | undefined> {
    const { timePoint, mediumTool } = this.#options;
    if (timePoint === undefined || mediumTool === 'mongodump') return undefined;
    const kept = catalog.collections.find((spec) => !spec.capped);
    if (!kept || (await canReadAsOf(this.#source, kept, catalog.position)) === true) return undefined;
    return (await delayedBefore(this.#source, catalog.position))?.host;
  }

  /** Everything from before the time point up to now: the end is the first no-op after all that was read. */
  async #writeLog(sink: MediumSink, spool: Spool, signal: AbortSignal): Promise<ManifestData & { end: Position }> {
    const retry = this.#retry(signal);
    const last = await withRetry(retry, () => this.#source.note({ export: 'end' }));
    // A second one, so that there is certainly one to end with.
    const beyond = await withRetry(retry, () => this.#source.note({ export: 'end' }));
    while (spool.end < beyond) {
      throwIfAborted(signal);
      await systemClock.sleep(WAIT_MS, signal);
    }
    const filter = new LogFilter(this.#selection, last);
    let end: Position | undefined;
    for await (const block of spool.read(POSITION_ZERO, BLOCK_BYTES, signal)) {
      const filtered = filter.filter(block);
      if (filtered.count > 0) await sink.appendLog(filtered.bytes, filtered.count);
      end = filtered.end;
      if (end) break;
    }
    throwIfAborted(signal);
    invariant(end, 'The log of an export has no end');
    return { ...(await sink.finishLog()), end };
  }

  #retry(signal: AbortSignal): RetryPolicy {
    return {
      clock: systemClock,
      signal,
      deadlineMs: this.#options.retryForSeconds * 1000,
      onRetry: (error) => this.#teller.fault(error),
    };
  }

  #tell(kind: string, data: Record<string, unknown>): void {
    this.#hooks.onEvent({ type: 'event', at: new Date(systemClock.now()).toISOString(), kind, data });
  }

  #result(manifest: Manifest, already: boolean): ExportResult {
    const { collections } = manifest;
    const documents = collections.reduce((sum, one) => sum + one.documents, 0);
    const told = new Set(this.#inexact.map((one) => one.namespace));
    const untold = collections.filter((one) => !one.snapshot && !told.has(namespaceOf(one)));
    const why = manifest.tool.startsWith('mongodump') ? 'mongodump reads each at a moment of its own' : '';
    const what = `${documents} documents of ${collections.length} collections`;
    return {
      version: 1,
      command: 'export',
      medium: this.#options.medium,
      id: manifest.id,
      already,
      message: already ? `The medium is complete already: ${what}` : `Exported ${what}`,
      timePoint: clusterTime(manifest.timePoint),
      timePointAt: manifest.timePointAt,
      snapshot: manifest.snapshot,
      inexact: [...this.#inexact, ...untold.map((one) => ({ namespace: namespaceOf(one), why }))],
      collections: collections.length,
      views: manifest.views.length,
      documents,
      bytes: collections.reduce((sum, one) => sum + one.bytes, 0),
      mediumBytes: manifest.files.reduce((sum, file) => sum + file.bytes, 0),
      logEntries: manifest.log.documents,
      logEndsAt: timeOf(manifest.log.end),
      seconds: (systemClock.now() - this.#began) / 1000,
    };
  }
}

function timeOf(position: Position): string {
  return new Date(secondsOf(position) * 1000).toISOString();
}
