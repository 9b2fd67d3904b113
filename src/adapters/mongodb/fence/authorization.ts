import type { Document } from 'bson';
import { GodwitError } from '../../../kernel/errors.ts';
import type { Cluster } from '../cluster.ts';

export interface Authorization {
  /** Whether the servers enforce privileges at all. */
  readonly on: boolean;
  /** Whether LDAP says who may do what: then no user document does. */
  readonly ldap: boolean;
}

/** Whether privileges are enforced; being refused to ask is an answer too. */
export async function readAuthorization(cluster: Cluster): Promise<Authorization> {
  let parsed: Document;
  try {
    parsed = (await cluster.command('admin', { getCmdLineOpts: 1 }))['parsed'] ?? {};
  } catch (error) {
    if (error instanceof GodwitError && (error.code === 'GW2004' || error.code === 'GW2003'))
      return { on: true, ldap: false };
    throw error;
  }
  const security: Document = parsed['security'] ?? {};
  const memberLogin = security['clusterAuthMode'] === 'x509' || security['clusterAuthMode'] === 'sendX509';
  const on = security['authorization'] === 'enabled' || security['keyFile'] !== undefined || memberLogin;
  return { on: on && security['transitionToAuth'] !== true, ldap: security['ldap']?.authz !== undefined };
}

/** The users that this connection is logged in as. */
export async function ownUsers(cluster: Cluster): Promise<{ user: string; db: string }[]> {
  const status = await cluster.command('admin', { connectionStatus: 1 });
  return (status['authInfo']?.authenticatedUsers as { user: string; db: string }[] | undefined) ?? [];
}
