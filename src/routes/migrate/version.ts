import { createRequire } from 'node:module';

/** Godwit's own version. */
export const VERSION: string = (createRequire(import.meta.url)('../../../package.json') as { version: string }).version;
