/** What the values of migrate's options may be, as zod schemas in their YAML form. */
import { z } from 'zod';
import { DURATION, parseDuration } from './duration.ts';
import { parseHours, parseSchedule } from './sync/schedule.ts';

export function duration(least: number, most: number) {
  return z
    .union([z.number(), z.string().regex(DURATION)])
    .transform((value) => (typeof value === 'number' ? value : (parseDuration(value) ?? Number.NaN)))
    .refine((seconds) => seconds >= least && seconds <= most);
}

/** Text that a function understands; what it makes of it is the value. */
function parsed<T>(parse: (text: string) => T | undefined) {
  return z.string().transform((text, context) => parse(text) ?? refuse(context));
}

export const schedule = parsed(parseSchedule);
export const hours = parsed(parseHours);

export const uri = z.string().regex(/^mongodb(\+srv)?:\/\/\S+$/);
export const pattern = z.string().regex(/^[^\s.$/\\"]+(\..+)?$/);
export const renaming = z
  .string()
  .regex(/^[^=.\s]+(=[^=.\s]+|\.[^=]+=[^=.\s]+\.[^=]+)$/, 'both sides are databases or both are collections');

const fileEntry = z.strictObject({
  kind: z.literal('file'),
  path: z.string().min(1),
  key: z.string().min(1),
  format: z.enum(['json', 'yaml', 'env']).optional(),
  to: z.string().min(1).optional(),
});
const webhookEntry = z.strictObject({
  kind: z.literal('webhook'),
  url: z.string().regex(/^https?:\/\/\S+$/),
  secretEnv: z.string().min(1).optional(),
  timeoutSeconds: z.number().positive().max(600).default(5),
});
const anyEntry = z.union([fileEntry, webhookEntry]);
const entryText = z.string().transform((text, context) => parseEntry(text) ?? refuse(context));
export const entry = z.union([entryText.pipe(anyEntry), fileEntry, webhookEntry]);

function refuse(context: z.RefinementCtx): never {
  context.addIssue({ code: 'custom', message: 'not an entry' });
  return z.NEVER;
}

/** `file:PATH#KEY?format=env&to=…` or `webhook:https://…`; undefined when it is neither. */
function parseEntry(text: string): z.input<typeof anyEntry> | undefined {
  if (text.startsWith('webhook:')) return { kind: 'webhook', url: text.slice('webhook:'.length) };
  const match = /^file:([^#]+)#([^?]+)(?:\?(.*))?$/.exec(text);
  if (!match) return undefined;
  const settings = Object.fromEntries(new URLSearchParams(match[3] ?? ''));
  // An unknown setting stays in, so that the strict schema behind refuses it.
  return { ...settings, kind: 'file', path: match[1], key: match[2] } as z.input<typeof fileEntry>;
}

export function choice<const T extends readonly [string, ...string[]]>(values: T) {
  return { schema: z.enum(values), range: values.map((value) => `\`${value}\``).join(', '), value: values.join('|') };
}
export function whole(least: number, most: number) {
  return { schema: z.number().int().min(least).max(most), range: `a whole number from ${least} to ${most}` };
}
export function real(least: number, most: number) {
  return { schema: z.number().min(least).max(most), range: `a number from ${least} to ${most}` };
}
