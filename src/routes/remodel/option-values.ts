import { z } from 'zod';
import { GodwitError } from '../../kernel/errors.ts';
import { BUCKETS } from '../../kernel/remodel/index.ts';
import type { RemodelArgs } from './api.ts';

const DURATION = /^(\d+(?:\.\d+)?)\s*(ms|s|m|h)?$/;
const UNIT_SECONDS: Readonly<Record<string, number>> = { ms: 0.001, s: 1, m: 60, h: 3600 };

/** Seconds of `30s`, `10m`, `1.5h`, `250ms`, or of a bare number. */
export function duration(least: number, most: number) {
  return z
    .union([z.number(), z.string().trim().regex(DURATION)])
    .transform((value) => (typeof value === 'number' ? value : secondsOf(value)))
    .refine((seconds) => seconds >= least && seconds <= most);
}

function secondsOf(text: string): number {
  const match = DURATION.exec(text) as RegExpExecArray;
  return Number(match[1]) * (UNIT_SECONDS[match[2] ?? 's'] as number);
}

/** Parts of 10000 of `5%`, `0.25%`, `100 %`. @throws GodwitError GW1001. */
export function parseShare(text: string): number {
  const match = /^(\d+(?:\.\d{1,2})?)\s*%$/.exec(text.trim());
  const parts = match === null ? Number.NaN : Math.round(Number(match[1]) * (BUCKETS / 100));
  if (!(parts >= 0 && parts <= BUCKETS))
    throw new GodwitError('GW1001', `${text} is not a share; accepted: 0% to 100%, at most two decimals`);
  return parts;
}

/** `2/4`: the second of four processes. @throws GodwitError GW1001. */
export function parsePart(text: string): NonNullable<RemodelArgs['part']> {
  const [index, count] = (/^(\d+)\/(\d+)$/.exec(text.trim()) ?? []).slice(1).map(Number);
  if (index === undefined || count === undefined || index < 1 || index > count || count > 1_000)
    throw new GodwitError('GW1001', `--part ${text} is not valid; accepted: 1/4 to 4/4, at most 1000 parts`);
  return { index, count };
}
