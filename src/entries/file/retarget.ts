import { GodwitError } from '../../kernel/errors.ts';

/** Where a cluster is reached. */
export interface ClusterAddress {
  /** `host:port`, at least one. */
  readonly hosts: readonly string[];
  readonly setName: string;
}

const CONNECTION_STRING = /^(mongodb(?:\+srv)?):\/\/(?:([^/]*)@)?([^/?@]+)(?:\/([^?]*))?(?:\?(.*))?$/s;
const HOST_LIST = /^(?:[\w.-]+|\[[\da-f:]+\]):\d{1,5}(?:,(?:[\w.-]+|\[[\da-f:]+\]):\d{1,5})*$/i;

/** Options that speak of the old hosts, not of the application. */
const OF_OLD_HOSTS = new Set(['replicaset', 'srvservicename', 'srvmaxhosts', 'loadbalanced']);

/**
 * The same address at another cluster. Of a connection string, hosts and set
 * name are replaced; credentials, database and options stay, letter by letter,
 * so that placeholders such as `${DB_PASSWORD}` survive. A bare `host:port`
 * list becomes the list of the new hosts. Throws GW1001 for anything else.
 *
 * @param dnsOptions what the TXT record of a `mongodb+srv` name adds
 *   (`authSource=admin`): without the name, it must be said in the string.
 */
export function retarget(value: string, to: ClusterAddress, dnsOptions = ''): string {
  const hosts = to.hosts.join(',');
  if (HOST_LIST.test(value)) return hosts;
  const parts = CONNECTION_STRING.exec(value);
  if (!parts) {
    throw new GodwitError(
      'GW1001',
      'The present value of the entry is neither a MongoDB connection string nor a list of host:port; say with `to` what it shall become',
    );
  }
  const [, scheme, credentials, , database = '', query = ''] = parts;
  const options = query.split('&').filter((option) => option !== '' && !OF_OLD_HOSTS.has(nameOf(option)));
  const has = (name: string) => options.some((option) => nameOf(option) === name);
  if (scheme === 'mongodb+srv') {
    for (const option of dnsOptions.split('&')) {
      if (option !== '' && !OF_OLD_HOSTS.has(nameOf(option)) && !has(nameOf(option))) options.push(option);
    }
    // An srv name means TLS unless it is switched off in words.
    if (!has('tls') && !has('ssl')) options.push('tls=true');
  }
  const kept = to.hosts.length === 1 ? options : options.filter((option) => nameOf(option) !== 'directconnection');
  const login = credentials === undefined ? '' : `${credentials}@`;
  return `mongodb://${login}${hosts}/${database}?${[...kept, `replicaSet=${to.setName}`].join('&')}`;
}

/** The name to ask DNS for, when the value is a `mongodb+srv` string. */
export function srvName(value: string): string | undefined {
  const parts = CONNECTION_STRING.exec(value);
  return parts?.[1] === 'mongodb+srv' ? parts[3] : undefined;
}

function nameOf(option: string): string {
  return option.replace(/=.*$/s, '').toLowerCase();
}
