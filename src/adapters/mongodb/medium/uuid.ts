import { createHash } from 'node:crypto';

/** Stands for the identity of a collection where a tool does not tell it: the same for the same name. */
export function madeUpUuid(db: string, name: string): string {
  return createHash('sha256').update(`${db}.${name}`, 'utf8').digest('hex').slice(0, 32);
}
