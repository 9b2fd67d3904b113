import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';

export type Peer = 'mongodump' | 'mongorestore' | 'pcsm';

/** Where a rival's program is: in `$GODWIT_PEERS`, else on PATH; undefined when it is missing. */
export function findPeer(name: Peer): string | undefined {
  const folders = [process.env['GODWIT_PEERS'] ?? '', ...(process.env['PATH'] ?? '').split(delimiter)];
  return folders
    .filter((folder) => folder !== '')
    .map((folder) => join(folder, name))
    .find((path) => existsSync(path));
}
