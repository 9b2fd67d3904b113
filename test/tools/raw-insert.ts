import { createConnection } from 'node:net';
import { deserialize, serialize } from 'bson';
import { type MongoClient, MongoServerError } from 'mongodb';

const OP_MSG = 2013;
const HEADER_BYTES = 16;
const TIMEOUT_MS = 20_000;

/**
 * Inserts documents as bytes: the driver can only send what its BSON library can write, and the server
 * takes more than that (undefined, DBPointer, duplicate names, invalid UTF-8).
 * For servers without users and TLS. Throws the server's refusal as the driver would.
 */
export async function insertRaw(client: MongoClient, namespace: string, docs: readonly Buffer[]): Promise<void> {
  const dot = namespace.indexOf('.');
  const hello = await client.db('admin').command({ hello: 1 }, { readPreference: 'primary' });
  const [host = '', port = ''] = String(hello['primary'] ?? hello['me']).split(':');
  const command = {
    insert: namespace.slice(dot + 1),
    ordered: false,
    writeConcern: { w: 'majority' },
    $db: namespace.slice(0, dot),
  };
  const reply = deserialize(await exchange(host, Number(port), message(serialize(command), docs)));
  const failure = reply['ok'] === 1 ? reply['writeErrors']?.[0] : reply;
  if (failure !== undefined) throw new MongoServerError({ ...failure, message: failure.errmsg });
}

function message(body: Uint8Array, docs: readonly Buffer[]): Buffer {
  const name = Buffer.from('documents\0');
  const sequenceBytes = 4 + name.length + docs.reduce((sum, doc) => sum + doc.length, 0);
  const head = Buffer.alloc(HEADER_BYTES + 5);
  head.writeInt32LE(head.length + body.length + 1 + sequenceBytes, 0);
  head.writeInt32LE(1, 4);
  head.writeInt32LE(OP_MSG, 12);
  const sequenceHead = Buffer.alloc(5);
  sequenceHead[0] = 1;
  sequenceHead.writeInt32LE(sequenceBytes, 1);
  return Buffer.concat([head, body, sequenceHead, name, ...docs]);
}

function exchange(host: string, port: number, request: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const socket = createConnection({ host, port });
    const timer = setTimeout(() => socket.destroy(new Error('raw insert: no answer')), TIMEOUT_MS);
    let received = Buffer.alloc(0);
    socket.once('connect', () => socket.write(request));
    socket.on('data', (bytes: Buffer) => {
      received = Buffer.concat([received, bytes]);
      if (received.length < HEADER_BYTES || received.length < received.readInt32LE(0)) return;
      resolve(received.subarray(HEADER_BYTES + 5));
      socket.destroy();
    });
    socket.on('error', reject);
    socket.on('close', () => {
      clearTimeout(timer);
      reject(new Error('raw insert: connection closed before the answer'));
    });
  });
}
