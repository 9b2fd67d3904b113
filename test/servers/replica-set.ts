import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { type Document, MongoClient, type ObjectId } from 'mongodb';
import { type Certificates, createCertificates } from './certificates.ts';
import { closeClient } from './close-client.ts';
import { findMongod } from './find-mongod.ts';
import { type Member, SOCKET_TIMEOUT_MS, startMember } from './member.ts';
import { ProcessGuard } from './process-guard.ts';
import { runCommand } from './run-command.ts';
import { startTcpProxy } from './tcp-proxy.ts';
import { waitFor } from './wait-for.ts';

export interface ReplicaSetOptions {
  /** Default 1. */
  readonly members?: number;
  /** Default `rs0`. */
  readonly name?: string;
  /** Default 990, the least MongoDB takes. */
  readonly oplogSizeMB?: number;
  /** Switches access control on and creates this user with the role `root`. */
  readonly auth?: { readonly user: string; readonly password: string };
  /** `x509` also creates a `root` user in `$external` for the client certificate. */
  readonly tls?: { readonly mode: 'requireTLS'; readonly x509?: boolean };
  readonly setParameter?: Readonly<Record<string, string | number | boolean>>;
  /** Allows fail points and other commands meant for tests only. */
  readonly testCommands?: boolean;
  /** WiredTiger's cache of each member; default 0.25. */
  readonly cacheGB?: number;
  /** Seconds between checkpoints, default 60. A member keeps its oplog until its next one, however small it is. */
  readonly checkpointSeconds?: number;
  /** Puts a TCP proxy of ours before each member, for drivers and for the other members alike. */
  readonly proxied?: boolean;
  /** Where to make the set's own directory; default the system's temporary directory. */
  readonly dir?: string;
  /** Merged into the replica set's config, member by member: `{ priority: 0, hidden: true }`. */
  readonly memberConfig?: readonly Document[];
  /** Merged into the settings of the replica set's config. */
  readonly settings?: Document;
}

export interface ReplicaSetTls extends Certificates {
  /** Logs in with the client certificate; only with `x509`. */
  readonly x509Uri: string | undefined;
}

const ELECTION_TIMEOUT_MS = 60_000;

/** A real replica set on this machine, ready when this resolves: it has a primary, the others follow it. */
export async function startReplicaSet(options: ReplicaSetOptions = {}): Promise<ReplicaSet> {
  const mongod = await findMongod();
  const parent = resolve(options.dir ?? tmpdir());
  await mkdir(parent, { recursive: true });
  const set = new ReplicaSet(await mkdtemp(join(parent, 'godwit-')), options);
  try {
    await set.start(mongod);
    return set;
  } catch (error) {
    await set.stop();
    throw error;
  }
}

/** Started by `startReplicaSet`; `stop` or `await using` ends its processes and removes its directory. */
export class ReplicaSet implements AsyncDisposable {
  readonly name: string;
  readonly dir: string;
  readonly #options: ReplicaSetOptions;
  readonly #guard: ProcessGuard;
  #members: readonly Member[] = [];
  #certificates: Certificates | undefined;
  #client: Promise<MongoClient> | undefined;
  #stopped: Promise<void> | undefined;

  constructor(dir: string, options: ReplicaSetOptions) {
    this.dir = dir;
    this.name = options.name ?? 'rs0';
    this.#options = options;
    this.#guard = new ProcessGuard(dir);
  }

  get members(): readonly Member[] {
    return this.#members;
  }

  get tls(): ReplicaSetTls | undefined {
    if (this.#certificates === undefined) return undefined;
    return { ...this.#certificates, x509Uri: this.#options.tls?.x509 === true ? this.#x509Uri() : undefined };
  }

  /** For drivers: the whole set, with TLS and the user of `auth` if there is one. */
  get uri(): string {
    return this.#uri(this.#addresses(), { replicaSet: this.name, ...this.#tlsQuery(), ...this.#authQuery() });
  }

  /** The pid of the `sh` that cleans up should this process be killed; for tests of just that. */
  get watchdogPid(): number | undefined {
    return this.#guard.watchdogPid;
  }

  /** Called once, by `startReplicaSet`. */
  async start(mongod: string): Promise<void> {
    const { tls, auth } = this.#options;
    if (tls !== undefined) this.#certificates = await createCertificates(join(this.dir, 'tls'));
    if (auth !== undefined) {
      await writeFile(this.#keyFile, randomBytes(96).toString('base64'), { mode: 0o600 });
    }
    await this.#startMembers(mongod);
    await this.#initiate();
    await this.ready();
    await this.#createUsers();
    await this.#settle();
  }

  /** A connected client of the whole set, shared by all callers and closed by `stop`. */
  client(): Promise<MongoClient> {
    this.#client ??= new MongoClient(this.uri, { socketTimeoutMS: SOCKET_TIMEOUT_MS })
      .connect()
      .catch((error: unknown) => {
        this.#client = undefined;
        throw error;
      });
    return this.#client;
  }

  /** The member that takes writes, waiting for one to be elected if need be. */
  primary(): Promise<Member> {
    return waitFor(async () => (await this.#look()).primary, {
      timeoutMs: ELECTION_TIMEOUT_MS,
      what: `a primary of ${this.name}`,
    });
  }

  /** The members that are secondaries now; none is waited for. */
  async secondaries(): Promise<Member[]> {
    return (await this.#look()).secondaries;
  }

  /** Waits until there is a primary and every member that runs is one of its secondaries (or an arbiter). */
  async ready(): Promise<void> {
    await waitFor(
      async () => {
        const seen = await this.#look();
        const awake = this.#members.filter((member) => member.running && !member.suspended);
        return seen.primary !== undefined && 1 + seen.secondaries.length + seen.arbiters.length === awake.length;
      },
      { timeoutMs: ELECTION_TIMEOUT_MS, what: `all members of ${this.name} to be primary or secondary` },
    );
  }

  /** Has the primary step down, and waits for another (for itself, if it is the only member). */
  async stepDown(): Promise<void> {
    const old = await this.primary();
    const alone = this.#members.length === 1;
    const admin = (await old.client()).db('admin');
    const before = electionOf(await old.hello());
    await admin.command(
      alone
        ? { replSetStepDown: 1, secondaryCatchUpPeriodSecs: 0, force: true }
        : { replSetStepDown: 30, secondaryCatchUpPeriodSecs: 10 },
    );
    await waitFor(
      async () => {
        const { primary } = await this.#look();
        return primary !== undefined && (alone ? electionOf(await primary.hello()) !== before : primary !== old);
      },
      { timeoutMs: ELECTION_TIMEOUT_MS, what: `a new primary of ${this.name}` },
    );
    // It may be elected again from now on, so that a test can go back and forth.
    if (!alone) await admin.command({ replSetFreeze: 0 });
  }

  /** Ends all processes (SIGKILL: the data is thrown away) and removes the directory. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #stop(): Promise<void> {
    for (const member of this.#members) {
      member.resume();
      member.proxy?.unblackhole();
    }
    await closeClient(this.#client);
    await Promise.all(this.#members.map((member) => member.kill()));
    await Promise.all(this.#members.map((member) => member.proxy?.close()));
    await this.#guard.close();
  }

  async #startMembers(mongod: string): Promise<void> {
    const args = this.#arguments(await majorVersion(mongod));
    const ca = this.#certificates === undefined ? undefined : readFileSync(this.#certificates.caFile, 'utf8');
    const started = await Promise.allSettled(
      Array.from({ length: this.#options.members ?? 1 }, async (_, index) => {
        const member = await startMember({
          index,
          mongod,
          args,
          ca,
          guard: this.#guard,
          dbpath: join(this.dir, `member-${index}`),
          logPath: join(this.dir, `member-${index}.log`),
          directUri: (port) =>
            this.#uri(`127.0.0.1:${port}`, { directConnection: 'true', ...this.#tlsQuery(), ...this.#authQuery() }),
        });
        if (this.#options.proxied === true) member.putBehind(await startTcpProxy({ port: member.port }));
        return member;
      }),
    );
    // First remember those that run, so that a failure of one stops them all.
    this.#members = started.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
    const failed = started.find((result) => result.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  }

  #arguments(version: number): string[] {
    const { auth, oplogSizeMB = 990, cacheGB = 0.25, testCommands = false, setParameter = {} } = this.#options;
    const args = ['--replSet', this.name, '--bind_ip', '127.0.0.1', '--nounixsocket'];
    args.push('--oplogSize', String(oplogSizeMB), '--wiredTigerCacheSizeGB', String(cacheGB));
    const { checkpointSeconds } = this.#options;
    if (checkpointSeconds !== undefined) args.push('--syncdelay', String(checkpointSeconds));
    if (auth !== undefined) args.push('--keyFile', this.#keyFile);
    if (this.#certificates !== undefined) {
      args.push('--tlsMode', 'requireTLS', '--tlsAllowConnectionsWithoutCertificates');
      args.push('--tlsCAFile', this.#certificates.caFile);
      args.push('--tlsCertificateKeyFile', this.#certificates.serverCertKeyFile);
    }
    const parameters: Record<string, string | number | boolean> = {
      diagnosticDataCollectionEnabled: false,
      // On SIGTERM a member waits 15 s by default for its clients to turn away. Older servers do not.
      ...(version >= 5 ? { shutdownTimeoutMillisForSignaledShutdown: 100 } : {}),
      ...(testCommands ? { enableTestCommands: true } : {}),
      ...setParameter,
    };
    for (const [name, value] of Object.entries(parameters)) args.push('--setParameter', `${name}=${value}`);
    return args;
  }

  async #initiate(): Promise<void> {
    const config = {
      _id: this.name,
      members: this.#members.map((member) => ({
        _id: member.index,
        host: member.address,
        ...this.#options.memberConfig?.[member.index],
      })),
      // Ten seconds and two by default: a test would mostly wait for fail-overs.
      settings: { electionTimeoutMillis: 2000, heartbeatIntervalMillis: 200, ...this.#options.settings },
    };
    const first = this.#members[0];
    if (first === undefined) throw new Error('a replica set needs at least one member');
    await this.#withoutLogin(first, (client) => client.db('admin').command({ replSetInitiate: config }));
  }

  async #createUsers(): Promise<void> {
    const { auth, tls } = this.#options;
    const primary = await this.primary();
    if (auth !== undefined) {
      await this.#withoutLogin(primary, (client) =>
        client.db('admin').command({ createUser: auth.user, pwd: auth.password, roles: ['root'] }),
      );
    }
    if (tls?.x509 === true) {
      const roles = [{ role: 'root', db: 'admin' }];
      const createUser = this.#certificates?.clientSubject;
      await (await primary.client()).db('$external').command({ createUser, roles });
    }
  }

  /**
   * New secondaries take half a second more to find whom to follow. Until then majority writes wait, and
   * a fail-over took up to nine seconds; better to pay for that here than inside what a test measures.
   */
  async #settle(): Promise<void> {
    if (this.#members.length === 1) return;
    const admin = (await (await this.primary()).client()).db('admin');
    await admin.command({ appendOplogNote: 1, data: { note: 'started' }, writeConcern: { w: 'majority' } });
  }

  /** A direct connection that does not log in: MongoDB lets localhost set up a server that has no user yet. */
  async #withoutLogin(member: Member, work: (client: MongoClient) => Promise<unknown>): Promise<void> {
    const uri = this.#uri(`127.0.0.1:${member.port}`, { directConnection: 'true', ...this.#tlsQuery() });
    const client = new MongoClient(uri, { socketTimeoutMS: SOCKET_TIMEOUT_MS });
    try {
      await work(client);
    } finally {
      await client.close();
    }
  }

  async #look(): Promise<{ primary?: Member; secondaries: Member[]; arbiters: Member[] }> {
    const awake = this.#members.filter((member) => member.running && !member.suspended);
    const answers = await Promise.all(
      awake.map(async (member) => ({ member, hello: await member.hello().catch(() => undefined) })),
    );
    // A primary that was cut off may not know yet that it was replaced: the latest election counts.
    const primary = answers
      .filter(({ hello }) => hello?.['isWritablePrimary'] === true)
      .sort((a, b) => electionOf(b.hello).localeCompare(electionOf(a.hello)))[0]?.member;
    const whose = (state: string): Member[] =>
      answers.filter(({ hello }) => hello?.[state] === true).map(({ member }) => member);
    return { primary, secondaries: whose('secondary'), arbiters: whose('arbiterOnly') };
  }

  get #keyFile(): string {
    return join(this.dir, 'keyfile');
  }

  #addresses(): string {
    return this.#members.map((member) => member.address).join(',');
  }

  #tlsQuery(): Record<string, string> {
    return this.#certificates === undefined ? {} : { tls: 'true', tlsCAFile: this.#certificates.caFile };
  }

  #authQuery(): Record<string, string> {
    return this.#options.auth === undefined ? {} : { authSource: 'admin' };
  }

  #x509Uri(): string {
    const file = this.#certificates?.clientCertKeyFile ?? '';
    const login = { authMechanism: 'MONGODB-X509', authSource: '$external', tlsCertificateKeyFile: file };
    return this.#uri(this.#addresses(), { replicaSet: this.name, ...this.#tlsQuery(), ...login });
  }

  /** The user goes in exactly when the query names the database that knows it. */
  #uri(addresses: string, query: Readonly<Record<string, string>>): string {
    const { auth } = this.#options;
    const login =
      auth !== undefined && query['authSource'] === 'admin'
        ? `${encodeURIComponent(auth.user)}:${encodeURIComponent(auth.password)}@`
        : '';
    return `mongodb://${login}${addresses}/?${new URLSearchParams(query)}`;
  }
}

async function majorVersion(mongod: string): Promise<number> {
  const { stdout } = await runCommand(mongod, ['--version']);
  return Number(/db version v(\d+)\./.exec(stdout)?.[1] ?? 0);
}

/** Hex of the election's id, which grows with each election; empty for a member that is not primary. */
function electionOf(hello: Document | undefined): string {
  return (hello?.['electionId'] as ObjectId | undefined)?.toHexString() ?? '';
}
