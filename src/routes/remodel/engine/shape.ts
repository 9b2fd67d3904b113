/** The shape of the tables as it was recorded, and what has become of it. Pure. */
import { createHash } from 'node:crypto';
import type { AuditRow } from '../../../kernel/remodel/index.ts';

/** Lines that went, marked `-`, and lines that came, marked `+`. Nothing recorded is no drift. */
export function shapeDrift(recorded: readonly string[] | undefined, present: readonly string[]): readonly string[] {
  if (recorded === undefined) return [];
  const [before, after] = [new Set(recorded), new Set(present)];
  return [
    ...recorded.filter((line) => !after.has(line)).map((line) => `- ${line}`),
    ...present.filter((line) => !before.has(line)).map((line) => `+ ${line}`),
  ];
}

/** The shape recorded last, in a history that has the latest first. */
export function latestShape(audit: readonly AuditRow[]): readonly string[] | undefined {
  for (const { data } of audit) {
    if (Array.isArray(data['shape'])) return data['shape'] as string[];
  }
  return undefined;
}

export function shapeHash(shape: readonly string[]): string {
  return createHash('sha256').update(shape.join('\n')).digest('hex');
}
