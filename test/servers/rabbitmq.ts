import { randomBytes } from 'node:crypto';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ensurePrograms } from './debian-packages.ts';
import { pickFreePort } from './ports.ts';
import { ProcessGuard } from './process-guard.ts';
import { runCommand } from './run-command.ts';
import { ServerProcess } from './server-process.ts';

/** Debian's scripts themselves; the ones on the PATH change the user and insist on the system's directories. */
const RABBITMQ_BIN = process.env['GODWIT_RABBITMQ_BIN'] ?? '/usr/lib/rabbitmq/bin';
const EPMD = process.env['GODWIT_EPMD'] ?? '/usr/bin/epmd';
const USER = 'godwit';
/** Needs escaping in a URI, so that escaping is tested too. */
const PASSWORD = 'p@ss/word';

/** A RabbitMQ broker on 127.0.0.1, without plugins, ready when this resolves. Installs one where there is none. */
export async function startRabbitmq(): Promise<Rabbitmq> {
  await ensurePrograms([join(RABBITMQ_BIN, 'rabbitmq-server'), EPMD], ['rabbitmq-server']);
  const dir = await mkdtemp(join(tmpdir(), 'godwit-rabbitmq-'));
  const guard = new ProcessGuard(dir);
  for (let attempt = 0; ; attempt++) {
    const [amqp, epmd, distribution] = [await pickFreePort(), await pickFreePort(), await pickFreePort()];
    const broker = new Rabbitmq(dir, guard, { amqp, epmd, distribution });
    try {
      await broker.start();
      return broker;
    } catch (error) {
      const clash = error instanceof Error && /eaddrinuse|address already in use/i.test(error.message);
      if (clash && attempt < 9) {
        await broker.end();
        continue;
      }
      await broker.stop();
      throw error;
    }
  }
}

interface Ports {
  readonly amqp: number;
  /** Erlang's name server: one of our own, so that nobody else's is used or left behind. */
  readonly epmd: number;
  readonly distribution: number;
}

/** Started by `startRabbitmq`; `stop` or `await using` ends its processes and removes its directory. */
export class Rabbitmq implements AsyncDisposable {
  readonly port: number;
  /** With user and password. */
  readonly uri: string;
  readonly dir: string;
  readonly #guard: ProcessGuard;
  readonly #ports: Ports;
  readonly #env: NodeJS.ProcessEnv;
  readonly #epmd: ServerProcess;
  readonly #broker: ServerProcess;

  constructor(dir: string, guard: ProcessGuard, ports: Ports) {
    this.dir = dir;
    this.port = ports.amqp;
    this.uri = this.uriOf(USER, PASSWORD);
    this.#guard = guard;
    this.#ports = ports;
    this.#env = environment(dir, ports);
    this.#epmd = new ServerProcess({
      name: 'epmd',
      file: EPMD,
      args: ['-address', '127.0.0.1', '-port', String(ports.epmd)],
      argv0: join(dir, 'epmd'),
      env: this.#env,
      logPath: join(dir, 'epmd.log'),
      guard,
    });
    this.#broker = new ServerProcess({
      name: 'rabbitmq-server',
      file: join(RABBITMQ_BIN, 'rabbitmq-server'),
      // Arguments that Erlang does not know are kept and mean nothing; this one names the directory.
      args: ['-godwit', dir],
      env: this.#env,
      logPath: join(dir, 'broker.log'),
      guard,
    });
  }

  get pid(): number | undefined {
    return this.#broker.pid;
  }

  uriOf(user: string, password: string, vhost = ''): string {
    const login = `${encodeURIComponent(user)}:${encodeURIComponent(password)}`;
    return `amqp://${login}@127.0.0.1:${this.port}${vhost === '' ? '' : `/${encodeURIComponent(vhost)}`}`;
  }

  /** Called once, by `startRabbitmq`. */
  async start(): Promise<void> {
    const { dir } = this;
    await writeFile(join(dir, '.erlang.cookie'), randomBytes(16).toString('hex'), { mode: 0o400, flag: 'w' }).catch(
      ignoreWritten,
    );
    await writeFile(join(dir, 'enabled_plugins'), '[].\n');
    await writeFile(join(dir, 'rabbitmq.conf'), configuration(this.#ports.amqp));
    await this.#epmd.start(() => isListening(this.#ports.epmd));
    await this.#startBroker();
  }

  /** Runs `rabbitmqctl` on this broker; throws when it fails. */
  async ctl(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await runCommand(join(RABBITMQ_BIN, 'rabbitmqctl'), ['--quiet', ...args], {
      cwd: this.dir,
      env: this.#env,
    });
    if (code !== 0) throw new Error(`rabbitmqctl ${args[0]} failed: ${stderr || stdout}`);
    return stdout;
  }

  /** SIGKILL: what it had not written is lost. */
  kill(): Promise<void> {
    return this.#broker.end('SIGKILL');
  }

  /** Starts it on the same port and data, after ending it gently if it runs. */
  async restart(): Promise<void> {
    await this.#broker.end('SIGTERM');
    await this.#startBroker();
  }

  /** Ends its processes; the directory stays. */
  async end(): Promise<void> {
    await this.#broker.end('SIGKILL');
    await this.#epmd.end('SIGKILL');
  }

  async stop(): Promise<void> {
    await this.end();
    await this.#guard.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #startBroker(): Promise<void> {
    await this.#broker.start((printed) => /Server startup complete/.test(printed));
  }
}

function environment(dir: string, ports: Ports): NodeJS.ProcessEnv {
  return {
    PATH: process.env['PATH'],
    LANG: 'C.UTF-8',
    HOME: dir, // where Erlang looks for its cookie
    ERL_EPMD_PORT: String(ports.epmd),
    ERL_EPMD_ADDRESS: '127.0.0.1',
    // The script then becomes the broker instead of waiting for it, so that its pid is the broker's.
    RUNNING_UNDER_SYSTEMD: 'true',
    RABBITMQ_NODENAME: `godwit-${ports.amqp}@localhost`,
    RABBITMQ_DIST_PORT: String(ports.distribution),
    RABBITMQ_CONF_ENV_FILE: join(dir, 'rabbitmq-env.conf'),
    RABBITMQ_CONFIG_FILE: join(dir, 'rabbitmq.conf'),
    RABBITMQ_ADVANCED_CONFIG_FILE: join(dir, 'advanced.config'),
    RABBITMQ_ENABLED_PLUGINS_FILE: join(dir, 'enabled_plugins'),
    RABBITMQ_MNESIA_BASE: join(dir, 'mnesia'),
    RABBITMQ_LOG_BASE: join(dir, 'log'),
    RABBITMQ_GENERATED_CONFIG_DIR: join(dir, 'generated'),
    RABBITMQ_PID_FILE: join(dir, 'broker.pid'),
    RABBITMQ_LOGS: '-',
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: '+S 2:2 -kernel inet_dist_use_interface {127,0,0,1}',
  };
}

function configuration(port: number): string {
  return [
    `listeners.tcp.local = 127.0.0.1:${port}`,
    `default_user = ${USER}`,
    `default_pass = ${PASSWORD}`,
    'disk_free_limit.absolute = 50MB',
    'raft.wal_max_size_bytes = 16777216',
    '',
  ].join('\n');
}

function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection({ port, host: '127.0.0.1' });
    socket.once('connect', () => resolve(true));
    socket.once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}

/** On a second attempt the cookie is there, and read-only. */
function ignoreWritten(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EACCES') throw error;
}
