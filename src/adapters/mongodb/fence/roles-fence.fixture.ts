/** Raises a roles fence and kills itself, with SIGKILL, before the n-th `updateUser`. Started by the test beside. */
import { readFileSync, writeFileSync } from 'node:fs';
import { Cluster } from '../cluster.ts';
import { makeSelection } from '../namespaces.ts';
import { openFence } from './fence.ts';

const [uri = '', memoryFile = '', fatal = ''] = process.argv.slice(2);

function load(): Record<string, unknown> {
  return JSON.parse(readFileSync(memoryFile, 'utf8')) as Record<string, unknown>;
}

const cluster = await Cluster.connect('source', uri);
const plainCommand = cluster.command.bind(cluster);
let updates = 0;
cluster.command = (db, command, options) => {
  if ('updateUser' in command) {
    updates += 1;
    if (updates === Number(fatal)) process.kill(process.pid, 'SIGKILL');
  }
  return plainCommand(db, command, options);
};
const memory = {
  get: <T>(key: string): T | undefined => load()[key] as T | undefined,
  set: (key: string, value: unknown) => writeFileSync(memoryFile, JSON.stringify({ ...load(), [key]: value })),
};
const selection = makeSelection(['shop'], [], []);
await openFence('roles', { cluster, selection, memory, runName: 'r1' }).raise(new AbortController().signal);
