import { createConnection, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { type Document, deserialize, serialize } from 'bson';

export interface HelloTarget {
  readonly host: string;
  readonly port: number;
  /** PEM of the CA when the server speaks TLS. */
  readonly ca?: string;
}

const OP_MSG = 2013;
const HEADER_BYTES = 16;

/**
 * Asks one server for `hello` over a connection of its own; rejects if there is no answer in time.
 * The driver would do, but it monitors, pools and backs off on its own clock, and polling through
 * that costs half a second where this costs milliseconds.
 */
export function hello(target: HelloTarget, timeoutMs = 1000): Promise<Document> {
  return new Promise((resolve, reject) => {
    const { host, port, ca } = target;
    const socket: Socket = ca === undefined ? createConnection({ host, port }) : connectTls({ host, port, ca });
    const timer = setTimeout(() => socket.destroy(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
    let received = Buffer.alloc(0);
    socket.once(ca === undefined ? 'connect' : 'secureConnect', () => socket.write(question()));
    socket.on('data', (bytes: Buffer) => {
      received = Buffer.concat([received, bytes]);
      if (received.length < HEADER_BYTES || received.length < received.readInt32LE(0)) return;
      resolve(deserialize(received.subarray(HEADER_BYTES + 5)));
      socket.destroy();
    });
    socket.on('error', reject);
    socket.on('close', () => {
      clearTimeout(timer);
      reject(new Error('connection closed before the answer'));
    });
  });
}

function question(): Buffer {
  const body = serialize({ hello: 1, $db: 'admin' });
  const prefix = Buffer.alloc(HEADER_BYTES + 5); // header, flag bits, section kind 0
  prefix.writeInt32LE(prefix.length + body.length, 0);
  prefix.writeInt32LE(1, 4);
  prefix.writeInt32LE(OP_MSG, 12);
  return Buffer.concat([prefix, body]);
}
