/** Questions to the services of the clone, asked again until they are answered. */
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { isTaken, type Machine } from '../../../adapters/qemu/index.ts';
import { GodwitError } from '../../../kernel/errors.ts';
import type { Probe } from './api.ts';

const PATIENCE_MS = 30_000;
const LOOK_MS = 250;

/** `http://:8080/health`, `https://shop.example/`, `tcp:5432`, `exec:systemctl is-active shop`. @throws GodwitError GW1001 */
export function parseProbe(text: string): Probe {
  if (text.startsWith('exec:') && text.length > 5) return { kind: 'exec', text, command: text.slice(5) };
  const tcp = /^tcp::?(\d{1,5})$/.exec(text);
  if (tcp !== null) return { kind: 'tcp', text, port: portOf(text, Number(tcp[1])) };
  const http = /^(https?:\/\/)([^/:?#]*)(?::(\d{1,5}))?([/?#].*)?$/.exec(text);
  if (http === null)
    throw new GodwitError(
      'GW1001',
      `--probe ${text} is not valid; accepted: http://:8080/health, https://NAME/, tcp:5432, exec:COMMAND`,
    );
  const [, scheme = '', name = '', port, path = '/'] = http;
  const number = portOf(text, Number(port ?? (scheme === 'https://' ? 443 : 80)));
  try {
    return { kind: 'http', text, port: number, url: new URL(`${scheme}${name || 'localhost'}:${number}${path}`) };
  } catch (error) {
    throw new GodwitError('GW1001', `--probe ${text} is no address`, { cause: error });
  }
}

function portOf(text: string, port: number): number {
  if (port >= 1 && port <= 65_535) return port;
  throw new GodwitError('GW1001', `--probe ${text}: ${port} is no port`);
}

export interface Asked {
  readonly ok: boolean;
  readonly detail: string;
}

/** One question over the forwarded port. */
export function ask(probe: Probe, hostPort: number, machine: Machine, signal: AbortSignal): Promise<Asked> {
  return probe.kind === 'http' ? askHttp(probe.url, hostPort, signal) : askTcp(hostPort, machine, signal);
}

function askHttp(url: URL, hostPort: number, signal: AbortSignal): Promise<Asked> {
  const send = url.protocol === 'https:' ? httpsRequest : httpRequest;
  return new Promise((resolve) => {
    const request = send(
      {
        host: '127.0.0.1',
        port: hostPort,
        path: `${url.pathname}${url.search}`,
        headers: { host: url.host, connection: 'close' },
        // It proves that it answers, not who it is; the name is asked for as its clients would.
        ...(url.protocol === 'https:' ? { servername: url.hostname, rejectUnauthorized: false } : {}),
        timeout: PATIENCE_MS,
        signal,
      },
      (response) => {
        const { statusCode = 0, statusMessage = '' } = response;
        response.resume();
        response.on('error', (error) => resolve({ ok: false, detail: error.message }));
        response.on('end', () => resolve({ ok: statusCode < 400, detail: `${statusCode} ${statusMessage}`.trim() }));
      },
    );
    request.on('timeout', () => request.destroy(new Error('no answer')));
    request.on('error', (error) => resolve({ ok: false, detail: error.message }));
    request.end();
  });
}

/** The connection counts when the clone has taken it: QEMU takes any at once. */
async function askTcp(hostPort: number, machine: Machine, signal: AbortSignal): Promise<Asked> {
  const socket = connect({ host: '127.0.0.1', port: hostPort });
  let isClosed = false;
  socket.on('error', () => undefined);
  socket.on('close', () => {
    isClosed = true;
  });
  try {
    const until = performance.now() + PATIENCE_MS;
    while (!isClosed && performance.now() < until && !signal.aborted) {
      if (isTaken(await machine.connections(), hostPort)) return { ok: true, detail: 'connected' };
      await sleep(LOOK_MS);
    }
    return { ok: false, detail: isClosed ? 'refused' : 'no answer' };
  } finally {
    socket.destroy();
  }
}
