/** One connection between source and target: mutual TLS, or a Unix socket of this machine (what ssh forwards to). */
import { lstatSync, readFileSync, rmSync } from 'node:fs';
import { createServer, connect as netConnect, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type TLSSocket, connect as tlsConnect } from 'node:tls';
import { GodwitError } from '../../../kernel/errors.ts';
import { Channel } from './channel.ts';

export type Address =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string };

/** Files in PEM. Each side shows a certificate that the authority of the other has signed. */
export interface TlsFiles {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

/** `host:port`, `[::1]:port`, `:port`, `unix:/path`. @throws GodwitError GW1001. */
export function parseAddress(text: string): Address {
  if (text.startsWith('unix:') && text.length > 5) return { kind: 'unix', path: text.slice(5) };
  const match = /^(\[[^\]]+\]|[^:]*):(\d{1,5})$/.exec(text);
  const port = Number(match?.[2] ?? Number.NaN);
  if (match === null || !(port <= 65_535))
    throw new GodwitError('GW1001', `${text} is no address; accepted: HOST:PORT or unix:/PATH`);
  return { kind: 'tcp', host: (match[1] ?? '').replace(/^\[|\]$/g, ''), port };
}

function pem(tls: TlsFiles | undefined): { ca: Buffer; cert: Buffer; key: Buffer } {
  if (tls === undefined)
    throw new GodwitError('GW1001', 'Over TCP --tls-ca, --tls-cert and --tls-key are needed; a Unix socket needs none');
  try {
    return { ca: readFileSync(tls.ca), cert: readFileSync(tls.cert), key: readFileSync(tls.key) };
  } catch (error) {
    throw new GodwitError('GW1001', `A file of TLS cannot be read: ${(error as Error).message}`, { cause: error });
  }
}

/** @throws GodwitError GW3001 when nobody answers yet, GW2003 when one of the two does not trust the other. */
export function connect(address: Address, tls: TlsFiles | undefined, signal: AbortSignal): Promise<Channel> {
  const certificates = address.kind === 'tcp' ? pem(tls) : undefined;
  return new Promise((resolve, reject) => {
    const socket: Socket | TLSSocket =
      address.kind === 'unix'
        ? netConnect({ path: address.path })
        : tlsConnect({ host: address.host, port: address.port, minVersion: 'TLSv1.3', ...certificates });
    const ready = address.kind === 'unix' ? 'connect' : 'secureConnect';
    const onAbort = () => socket.destroy();
    const onError = (error: NodeJS.ErrnoException) => {
      signal.removeEventListener('abort', onAbort);
      reject(refused(error));
    };
    const onClose = () => reject(new GodwitError('GW3001', 'The connection was closed before it was open'));
    signal.addEventListener('abort', onAbort, { once: true });
    socket.once('error', onError);
    socket.once('close', onClose);
    socket.once(ready, () => {
      socket.off('error', onError);
      socket.off('close', onClose);
      if ('setNoDelay' in socket) socket.setNoDelay(true);
      const channel = new Channel(socket);
      socket.once('close', () => signal.removeEventListener('abort', onAbort));
      resolve(channel);
    });
  });
}

const TRUST = /CERT|SELF_SIGNED|UNABLE_TO_|^ERR_TLS|^ERR_SSL|^EPROTO$/;

function refused(error: NodeJS.ErrnoException): GodwitError {
  const code = TRUST.test(error.code ?? '') ? 'GW2003' : 'GW3001';
  return new GodwitError(code, `The target cannot be reached: ${error.message}`, { cause: error });
}

export interface Listening {
  /** Where it listens; a port that was 0 is a real one here. */
  readonly address: Address;
  close(): Promise<void>;
}

/** Hands every connection that is open and trusted to `onChannel`; what fails before goes to `onRefused`. */
export async function listen(
  address: Address,
  tls: TlsFiles | undefined,
  onChannel: (channel: Channel) => void,
  onRefused: (error: Error) => void,
): Promise<Listening> {
  const sockets = new Set<Socket>();
  let server: Server;
  if (address.kind === 'tcp') {
    const options = { ...pem(tls), requestCert: true, rejectUnauthorized: true, minVersion: 'TLSv1.3' } as const;
    server = createTlsServer(options, (socket) => {
      socket.setNoDelay(true);
      onChannel(new Channel(socket));
    }).on('tlsClientError', onRefused);
  } else {
    // A socket that a killed process left; the lock of the state says that nobody listens on it.
    if (lstatSync(address.path, { throwIfNoEntry: false })?.isSocket()) rmSync(address.path);
    server = createServer((socket) => onChannel(new Channel(socket)));
  }
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => {
      reject(new GodwitError('GW1001', `Nothing can listen there: ${error.message}`, { cause: error }));
    });
    // Only this user may connect to the socket.
    const before = process.umask(0o177);
    if (address.kind === 'tcp') server.listen(address.port, address.host === '' ? '::' : address.host, resolve);
    else server.listen(address.path, resolve);
    process.umask(before);
  });
  const bound = server.address();
  return {
    address:
      bound !== null && typeof bound === 'object' && address.kind === 'tcp'
        ? { ...address, port: bound.port }
        : address,
    close: () =>
      new Promise((resolve) => {
        for (const socket of sockets) socket.destroy();
        server.close(() => resolve());
      }),
  };
}
