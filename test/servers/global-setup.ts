import { findMongod } from './find-mongod.ts';

/** Vitest runs this once, before any worker: fetching a mongod must not eat into the time of a test. */
export async function setup(): Promise<void> {
  await findMongod();
}
