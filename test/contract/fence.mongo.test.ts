import { MongoClient } from 'mongodb';
import { afterAll, beforeAll, onTestFinished } from 'vitest';
import { Cluster, makeSelection, openFence } from '../../src/adapters/mongodb/index.ts';
import { type ReplicaSet, startReplicaSet } from '../servers/index.ts';
import { describeFenceContract } from './fence.ts';

let set: ReplicaSet;
let cluster: Cluster;
let rooms = 0;

beforeAll(async () => {
  set = await startReplicaSet({ auth: { user: 'root', password: 'pw' } });
  cluster = await Cluster.connect('source', set.uri);
});
afterAll(async () => {
  await cluster?.close();
  await set?.stop();
});

async function login(user: string): Promise<MongoClient> {
  const client = await new MongoClient(set.uri.replace('root:pw@', `${user}:pw@`)).connect();
  onTestFinished(() => client.close());
  return client;
}

for (const kind of ['roles', 'write-block', 'none'] as const) {
  describeFenceContract(`${kind} fence`, async () => {
    rooms += 1;
    const db = `shop${rooms}`;
    const admin = cluster.db('admin');
    const grant = (user: string, where: string) =>
      admin.command({
        createUser: user,
        pwd: 'pw',
        roles: [
          { role: 'readWrite', db: where },
          { role: 'read', db: 'bank' },
        ],
      });
    await grant(`app${rooms}`, db);
    await grant(`neighbour${rooms}`, `bank${rooms}`);
    const app = await login(`app${rooms}`);
    const neighbour = await login(`neighbour${rooms}`);
    const values = new Map<string, string>();
    const memory = {
      get: <T>(key: string): T | undefined => (values.has(key) ? (JSON.parse(values.get(key)!) as T) : undefined),
      set: (key: string, value: unknown) => void values.set(key, JSON.stringify(value)),
    };
    const context = {
      cluster,
      selection: makeSelection([db], [], []),
      memory,
      runName: `r${rooms}`,
      allowWholeCluster: true,
    };
    return {
      open: () => openFence(kind, context),
      write: () => app.db(db).collection('orders').insertOne({ n: 1 }),
      neighbour:
        kind === 'write-block'
          ? undefined
          : () => neighbour.db(`bank${rooms}`).collection('accounts').insertOne({ n: 1 }),
      privileges: async () => {
        const { users } = await admin.command({ usersInfo: 1 });
        const { roles } = await admin.command({ rolesInfo: 1, showPrivileges: true });
        const { repl } = await admin.command({ serverStatus: 1, repl: 1 });
        const sorted = (list: { role: string; db: string }[]) => list.map(({ role, db: of }) => `${of}.${role}`).sort();
        return {
          users: users.map((user: { user: string; roles: never[] }) => [user.user, sorted(user.roles)]),
          roles,
          block: repl.userWriteBlockMode,
        };
      },
      refuses: kind !== 'none',
    };
  });
}
