/** Statuses and events as single lines, for logs and pipes. Pure. */
import type { MigrateStatus, RunEvent } from '../../routes/migrate/api.ts';
import { count, dataSize, percent, printable, timeOfDay, timeSpan } from '../../routes/migrate/report/format.ts';

export function statusLine(status: MigrateStatus): string {
  const { copy, log, verify } = status;
  const parts = [`${timeOfDay(status.at)} ${printable(status.run)} ${status.phase}`];
  if (status.phase === 'copying') {
    parts.push(`${percent(copy.bytes, copy.bytesTotal)} (${dataSize(copy.bytes)} of ${dataSize(copy.bytesTotal)})`);
    parts.push(`${copy.mbPerSecond.toFixed(1)} MB/s`, `${count(copy.docsPerSecond)} docs/s`);
    if (copy.secondsLeft !== null) parts.push(`${timeSpan(copy.secondsLeft)} left`);
  }
  if (log.lagSeconds !== null) parts.push(`lag ${timeSpan(log.lagSeconds)}`);
  if (status.phase !== 'created') parts.push(`spool ${dataSize(log.spoolBytes)}`);
  const { freeze, sync } = status;
  if (freeze?.state === 'held')
    parts.push(`${printable(freeze.member)} stands still for ${timeSpan(freeze.heldSeconds)}`);
  if (sync.state === 'idle' && sync.nextAt !== null) parts.push(`next round at ${timeOfDay(sync.nextAt)}`);
  if (sync.state === 'round') parts.push('round under way');
  if (verify.state === 'running') parts.push(`verify ${percent(verify.docs, verify.docsTotal)}`);
  if (verify.state === 'equal') parts.push('proved equal');
  if (verify.state === 'different') parts.push(`${count(verify.drift)} differences`);
  if (status.cutover.stallMs !== null) parts.push(`stall ${timeSpan(status.cutover.stallMs / 1000)}`);
  if (status.paused !== null) parts.push(`paused: ${printable(status.paused)}`);
  if (status.throttled !== null) parts.push(`throttled: ${printable(status.throttled)}`);
  if (status.fault !== null) parts.push(`waiting out ${status.fault.code}: ${printable(status.fault.message)}`);
  return parts.join(', ');
}

export function eventLine(event: Extract<RunEvent, { type: 'event' }>): string {
  const facts = Object.entries(event.data)
    .filter(([, value]) => value !== null && value !== undefined)
    .flatMap(([name, value]) => factsOf(name, value));
  return printable([timeOfDay(event.at), event.kind, ...facts].join(' '));
}

/** Objects as `name.field=value`, one for each; lists as JSON. */
function factsOf(name: string, value: unknown): string[] {
  if (typeof value !== 'object' || value === null) return [`${name}=${String(value)}`];
  if (Array.isArray(value)) return [`${name}=${JSON.stringify(value)}`];
  return Object.entries(value).flatMap(([field, inner]) => factsOf(`${name}.${field}`, inner));
}
