import { mistyped } from './mistyped.ts';

const FURTHEST_MS = 8_640_000_000_000_000n;
const MOMENT = /^([+-]\d{6}|\d{4})-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.(\d+))?Z$/;
const DAY = /^([+-]\d{6}|\d{4,7})-\d\d-\d\d$/;

/** Milliseconds since 1970 as a moment's text: UTC, fraction without trailing zeros. */
export function momentText(ms: bigint): string {
  if (ms > FURTHEST_MS || ms < -FURTHEST_MS) throw mistyped('a date beyond the year 275760');
  return new Date(Number(ms)).toISOString().replace(/\.?0*Z$/, 'Z');
}

/** @throws GodwitError GW5006 for a fraction finer than a millisecond, which BSON does not hold, and for infinities. */
export function parseMoment(text: string): Date {
  const parts = MOMENT.exec(text);
  const date = new Date(text);
  if (parts === null || Number.isNaN(date.getTime())) throw mistyped('a timestamp that is no moment in UTC');
  if (/[1-9]/.test((parts[2] ?? '').slice(3))) throw mistyped('a timestamp finer than a millisecond');
  if (momentText(BigInt(date.getTime())).slice(0, -1).split('.')[0] !== text.slice(0, -1).split('.')[0])
    throw mistyped('a timestamp of a day that does not exist');
  return date;
}

/** A day, as text; MongoDB has no type for it. */
export function checkDay(text: string): string {
  if (text === 'infinity' || text === '-infinity') return text;
  if (!DAY.test(text)) throw mistyped('a date that is not of the form 2026-01-02');
  const date = new Date(`${text}T00:00:00Z`);
  if (/^\d{4}-/.test(text) && (Number.isNaN(date.getTime()) || !date.toISOString().startsWith(text)))
    throw mistyped('a date that does not exist');
  return text;
}
