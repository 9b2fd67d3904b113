/** `godwit migrate spool`: the source's log on disk, without a run. */
import type { SpoolStatus } from '../routes/migrate/api.ts';
import { type OptionSources, parseForSpool } from '../routes/migrate/options.ts';
import { dataSize, printable, timeSpan } from '../routes/migrate/report/format.ts';
import { printJson, printLines, type Session } from './session.ts';

/** People are told now and then, programs every time. */
const LINE_EVERY_MS = 30_000;

export async function spoolCommand(session: Session, sources: OptionSources, json: boolean): Promise<number> {
  const options = parseForSpool(sources);
  const route = await session.loadMigrate();
  let toldAt = Number.NEGATIVE_INFINITY;
  let toldFault: string | undefined;
  const onStatus = (status: SpoolStatus) => {
    if (json) return printJson(session, { type: 'spool', status });
    const now = Date.now();
    if (now - toldAt < LINE_EVERY_MS && toldFault === status.fault?.code) return undefined;
    toldAt = now;
    toldFault = status.fault?.code;
    return printLines(session, [spoolLine(status)]);
  };
  const last = await route.spool(options, { signal: session.signal, onStatus });
  if (json) printJson(session, { type: 'result', status: last });
  else printLines(session, [`${spoolLine(last)}; stopped, the same command goes on`]);
  return 0;
}

/** One look at a kept log, as a line. */
export function spoolLine({ folder, after, upTo, bytes, lagSeconds, fault }: SpoolStatus): string {
  const parts = [`${printable(folder)}: ${after} to ${upTo}`, dataSize(bytes)];
  if (lagSeconds !== null) parts.push(`${timeSpan(lagSeconds)} behind`);
  if (fault !== null) parts.push(`waiting out ${fault.code}: ${printable(fault.message)}`);
  return parts.join(', ');
}
