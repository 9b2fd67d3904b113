import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** A tool of MongoDB, in `$GODWIT_PEERS` or on the PATH; throws when it is missing, so that nothing is passed over. */
export function findTool(name: 'mongodump' | 'mongorestore'): string {
  const folders = [process.env['GODWIT_PEERS'] ?? '', ...(process.env['PATH'] ?? '').split(delimiter)];
  const found = folders
    .filter((folder) => folder !== '')
    .map((folder) => join(folder, name))
    .find((path) => existsSync(path));
  if (found === undefined) throw new Error(`${name} is neither in $GODWIT_PEERS nor on the PATH`);
  return found;
}
