import {
  bytesIn,
  DirectorySink,
  describeToolDump,
  dumpByTool,
  sizeOf,
  toolVersion,
} from '../../../adapters/mongodb/index.ts';
import { systemClock } from '../../../kernel/clock.ts';
import { GodwitError } from '../../../kernel/errors.ts';
import { VERSION } from '../version.ts';
import type { ExportWork, WrittenData } from './export-work.ts';

const LOOK_MS = 500;

/** Has mongodump write the collections; time point, log, checks and manifest are Godwit's all the same. */
export async function writeByTool(work: ExportWork): Promise<WrittenData> {
  const { options, catalog, teller, signal } = work;
  const { medium: folder, compress = 'none', lanes } = options;
  if (compress === 'zstd' || work.container === 'archive') {
    const what = compress === 'zstd' ? '--compress zstd' : 'an archive';
    throw new GodwitError('GW1001', `--medium-tool mongodump does not go with ${what}; choose a folder`, {
      details: { option: 'medium-tool' },
    });
  }
  const tool = await toolVersion('mongodump');
  await tellTotal(work, compress === 'none');
  teller.step(`${tool} exports`);
  const over = new AbortController();
  const watching = watchFolder(work, AbortSignal.any([signal, over.signal]));
  try {
    const how = { uri: options.from, folder, compression: compress, readFrom: work.readFrom, lanes, signal };
    await dumpByTool(how, catalog, work.selection);
  } finally {
    over.abort();
    await watching;
  }
  const about = { path: folder, compression: compress, serverVersion: work.serverVersion };
  const nothing = { collections: [], views: [] };
  const sink = await DirectorySink.create({ ...about, toolVersion: `godwit ${VERSION}` }, nothing, []);
  return {
    sink,
    describe: async (_files, logEnd) => {
      teller.step('checking what the tool wrote');
      const described = await describeToolDump(folder, catalog, signal);
      return { ...described, tool, listedBy: logEnd, snapshot: false };
    },
  };
}

/** How much there will be is known only when it is not compressed. */
async function tellTotal({ catalog, source, teller }: ExportWork, known: boolean): Promise<void> {
  let [docs, bytes] = [0, 0];
  for (const spec of catalog.collections) {
    const size = await sizeOf(source, spec);
    docs += size.docs;
    bytes += size.bytes;
  }
  if (known) teller.total(docs, bytes);
}

async function watchFolder({ options, meter }: ExportWork, signal: AbortSignal): Promise<void> {
  let seen = 0;
  for (let last = false; !last; ) {
    await systemClock.sleep(LOOK_MS, signal);
    last = signal.aborted;
    const bytes = await bytesIn(options.medium);
    meter.copied('', 0, bytes - seen);
    seen = bytes;
  }
}
