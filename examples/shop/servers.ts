/** The clusters of the demo: an old one that two businesses share, and a new one for the shop alone. */
import type { MongoClient } from 'mongodb';
import { type ReplicaSet, startReplicaSet } from '../../test/servers/index.ts';

export interface Clusters {
  readonly old: ReplicaSet;
  readonly fresh: ReplicaSet;
  readonly oldClient: MongoClient;
  readonly freshClient: MongoClient;
}

const SHOP_USER = { user: 'shop_app', pwd: 'open-sesame' } as const;
const BOOKS_USER = { user: 'books_app', pwd: 'quiet-please' } as const;

/**
 * Both with access control, as clusters in use are: members trust one another
 * by a key file, people and applications log in with SCRAM.
 */
export async function startClusters(register: (set: ReplicaSet) => void): Promise<Clusters> {
  const start = async (name: string, members: number, password: string): Promise<ReplicaSet> => {
    const set = await startReplicaSet({ name, members, auth: { user: 'admin', password }, cacheGB: 0.4 });
    register(set);
    return set;
  };
  const started = await Promise.allSettled([start('old', 3, 'old-secret'), start('new', 1, 'new-secret')]);
  const [old, fresh] = started.map((result) => {
    if (result.status === 'rejected') throw result.reason;
    return result.value;
  }) as [ReplicaSet, ReplicaSet];
  const oldClient = await old.client();
  const freshClient = await fresh.client();
  await oldClient.db('shop').command({ createUser: SHOP_USER.user, pwd: SHOP_USER.pwd, roles: ['readWrite'] });
  await oldClient.db('books').command({ createUser: BOOKS_USER.user, pwd: BOOKS_USER.pwd, roles: ['readWrite'] });
  return { old, fresh, oldClient, freshClient };
}

/** What an application of a business is configured with. */
export function addressFor(set: ReplicaSet, business: 'shop' | 'books'): string {
  const { user, pwd } = business === 'shop' ? SHOP_USER : BOOKS_USER;
  const hosts = set.members.map((member) => member.address).join(',');
  return `mongodb://${user}:${pwd}@${hosts}/${business}?replicaSet=${set.name}&w=majority`;
}
