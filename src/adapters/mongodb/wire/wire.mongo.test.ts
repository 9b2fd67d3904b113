import { readFileSync } from 'node:fs';
import {
  Binary,
  BSONRegExp,
  Code,
  Decimal128,
  Double,
  Long,
  MaxKey,
  MinKey,
  ObjectId,
  serialize,
  Timestamp,
} from 'bson';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type ReplicaSet, startReplicaSet } from '../../../../test/servers/index.ts';
import { arbValue } from '../bson/arbitraries.test-support.ts';
import { BsonBuilder } from '../bson/builder.ts';
import { compareDocuments, idKey } from '../bson/compare.ts';
import { BSON_TYPE } from '../bson/types.ts';
import { docLength, elementEnd, findElement, valueOffset } from '../bson/walk.ts';
import { parseReply } from './command.ts';
import { commandDoc, WireConnection, type WireCredentials } from './connection.ts';
import { sliceBatch } from './cursor-batch.ts';

const START_MS = 120_000;
const AUTH = { user: 'boss', password: 'p@ss, =\u2168' };

function connect(rs: ReplicaSet, credentials?: WireCredentials): Promise<WireConnection> {
  const { port } = rs.members[0]!;
  return WireConnection.connect({
    host: '127.0.0.1',
    port,
    credentials,
    connectTimeoutMs: 10_000,
    socketTimeoutMs: 60_000,
  });
}

/** Every document of a collection, as the wire lane slices it. */
async function readBack(connection: WireConnection, collection: string, batchSize: number): Promise<Buffer> {
  const all: Buffer[] = [];
  let command = commandDoc({ find: collection, sort: { $natural: 1 }, batchSize, $db: 'wire' });
  for (;;) {
    const reply = await connection.request(command);
    const batch = sliceBatch(reply.body);
    all.push(Buffer.from(batch.docs));
    reply.release();
    if (batch.cursorId === 0n) return Buffer.concat(all);
    command = commandDoc({ getMore: batch.cursorId, collection, batchSize, $db: 'wire' });
  }
}

function keyOf(doc: Buffer): string {
  const at = findElement(doc, 0, '_id');
  return idKey(doc[at]!, doc, valueOffset(doc, at), elementEnd(doc, at));
}

/** The server refuses names with a dollar in an `_id`. */
function holdsDollarName(value: unknown): boolean {
  if (Array.isArray(value)) return value.some(holdsDollarName);
  if (typeof value !== 'object' || value === null || Object.getPrototypeOf(value) !== Object.prototype) return false;
  return Object.entries(value).some(([name, inner]) => name.startsWith('$') || holdsDollarName(inner));
}

async function insert(connection: WireConnection, collection: string, bytes: Buffer | Buffer[]): Promise<unknown> {
  const reply = await connection.request(commandDoc({ insert: collection, ordered: false, $db: 'wire' }), {
    identifier: 'documents',
    bytes,
  });
  const n = reply.body.readInt32LE(reply.body.indexOf('\x10n\0') + 3);
  reply.release();
  return n;
}

describe('on a server with users', () => {
  let rs: ReplicaSet;
  const login = { username: AUTH.user, password: AUTH.password };

  beforeAll(async () => {
    rs = await startReplicaSet({ members: 1, auth: AUTH });
  }, START_MS);
  afterAll(() => rs?.stop());

  test('logs in by either mechanism, and by the one it finds itself', async () => {
    for (const mechanism of [undefined, 'SCRAM-SHA-256', 'SCRAM-SHA-1'] as const) {
      const connection = await connect(rs, { ...login, mechanism });
      const status = await connection.run({ connectionStatus: 1, $db: 'admin' });
      expect(status.authInfo.authenticatedUsers).toMatchObject([{ user: AUTH.user, db: 'admin' }]);
      expect(connection.hello).toMatchObject({ isWritablePrimary: true, setName: 'rs0' });
      connection.close();
    }
  });

  test('a wrong password, an unknown user and a missing login are told apart', async () => {
    for (const mechanism of [undefined, 'SCRAM-SHA-256', 'SCRAM-SHA-1'] as const) {
      const wrong = connect(rs, { ...login, password: 'wrong-secret', mechanism });
      await expect(wrong).rejects.toMatchObject({ code: 'GW2003', details: { serverCode: 18 } });
      await expect(wrong).rejects.not.toThrow(/wrong-secret/);
    }
    await expect(connect(rs, { username: 'nobody', password: 'x' })).rejects.toMatchObject({ code: 'GW2003' });
    const stranger = await connect(rs);
    await expect(stranger.run({ find: 'c', $db: 'wire' })).rejects.toMatchObject({ code: 'GW2004' });
    stranger.close();
  });

  test('documents come back byte for byte, of every type the server takes', async () => {
    const connection = await connect(rs, login);
    const odd = new BsonBuilder();
    const text = Buffer.from('03000000616200', 'hex');
    odd
      .begin()
      .appendInt32('_id', -1)
      .appendElement(0x06, 'undefined', Buffer.alloc(0))
      .appendElement(0x0e, 'symbol', text);
    odd.appendElement(0x0c, 'pointer', Buffer.concat([text, Buffer.alloc(12, 7)])).appendInt32('twice', 1);
    odd
      .appendInt32('twice', 2)
      .appendInt32('', 3)
      .appendInt32('e\u0301', 4)
      .appendInt32('\u00e9', 5)
      .appendString('nul', 'a\0b');
    odd
      .appendElement(BSON_TYPE.regex, 'regex', Buffer.from('a.b\0ix\0'))
      .appendElement(0x05, 'old', Buffer.from('060000000202000000aabb', 'hex'));
    odd.startArray('array').appendInt32(5, 1).appendInt32('x', 2).end().end();
    const docs = [Buffer.from(odd.finish())];
    for (let i = 0; i < 5000; i++) {
      docs.push(
        Buffer.from(
          serialize({
            _id: i,
            a: new ObjectId(),
            b: new Double(1),
            c: Long.fromNumber(i),
            d: Decimal128.fromString('1.00'),
            e: new Binary(Buffer.alloc(i % 300), 5),
            f: new Timestamp({ t: 1, i }),
            g: [new MinKey(), new MaxKey(), null],
            h: new Code('f', { x: 1 }),
            i: 'y'.repeat(i % 100),
            j: new Date(i),
          }),
        ),
      );
    }
    expect(await insert(connection, 'types', docs)).toBe(docs.length);
    for (const batchSize of [7000, 997]) {
      expect((await readBack(connection, 'types', batchSize)).equals(Buffer.concat(docs))).toBe(true);
    }
    connection.close();
  });

  test('a message of 16 MB goes in at once and comes out the same, and again through the pool', async () => {
    const connection = await connect(rs, login);
    const builder = new BsonBuilder(17 * 1024 * 1024);
    for (let i = 0; builder.length < 16 * 1024 * 1024; i++) {
      builder.begin().appendInt32('_id', i).appendString('text', `${i}`.repeat(40)).end();
    }
    const bytes = builder.finish();
    expect(await insert(connection, 'large', bytes)).toBe(builder.documents);
    for (let round = 0; round < 2; round++) {
      expect((await readBack(connection, 'large', 1_000_000)).equals(bytes)).toBe(true);
    }
    connection.close();
  }, 60_000);

  test('the server sorts by _id as compareValues does, and takes those for one key that idKey does', async () => {
    const connection = await connect(rs, login);
    const notAnId = (value: unknown) => Array.isArray(value) || value instanceof BSONRegExp || holdsDollarName(value);
    const values = fc.sample(
      arbValue.filter((value) => !notAnId(value)),
      { numRuns: 3000, seed: 7 },
    );
    const docs = values.map((value) => Buffer.from(serialize({ _id: value }, { checkKeys: false })));
    const reply = await connection.request(commandDoc({ insert: 'order', ordered: false, $db: 'wire' }), {
      identifier: 'documents',
      bytes: docs,
    });
    const answer = parseReply(reply.body);
    const refused = new Set<number>();
    for (const { index, code } of answer.writeErrors ?? []) {
      expect(code).toBe(11000);
      refused.add(index);
    }
    const keys = new Set(docs.filter((_, i) => !refused.has(i)).map((doc) => keyOf(doc)));
    expect(docs.every((doc) => keys.has(keyOf(doc)))).toBe(true);

    const found = sliceBatch(
      (await connection.request(commandDoc({ find: 'order', sort: { _id: 1 }, batchSize: 5000, $db: 'wire' }))).body,
    );
    expect(found.count).toBe(docs.length - refused.size);
    let last: Buffer | undefined;
    for (let at = 0; at < found.docs.length; at += docLength(found.docs, at)) {
      const doc = found.docs.subarray(at, at + docLength(found.docs, at));
      if (last !== undefined) expect(compareDocuments(last, 0, doc, 0)).toBeLessThan(0);
      last = doc;
    }
    connection.close();
  });

  test('an exhaust cursor gives the same documents', async () => {
    const connection = await connect(rs, login);
    const found = sliceBatch(
      (await connection.request(commandDoc({ find: 'types', batchSize: 10, $db: 'wire' }))).body,
    );
    let count = found.count;
    let replies = 0;
    const more = commandDoc({ getMore: found.cursorId, collection: 'types', batchSize: 100, $db: 'wire' });
    for await (const reply of connection.exhaust(more)) {
      count += sliceBatch(reply.body).count;
      reply.release();
      replies++;
    }
    expect(count).toBe(5001);
    expect(replies).toBeGreaterThan(40);
    connection.close();
  });

  test('a cursor that is gone is a passing fault', async () => {
    const connection = await connect(rs, login);
    const reply = await connection.request(commandDoc({ getMore: 12345n, collection: 'types', $db: 'wire' }));
    expect(() => sliceBatch(reply.body)).toThrow(expect.objectContaining({ code: 'GW3003' }));
    connection.close();
  });

  test('a killed server rejects what is outstanding', async () => {
    const connection = await connect(rs, login);
    await connection.run({ create: 'tail', capped: true, size: 4096, $db: 'wire' });
    await insert(connection, 'tail', Buffer.from(serialize({ _id: 1 })));
    const found = await connection.request(commandDoc({ find: 'tail', tailable: true, awaitData: true, $db: 'wire' }));
    const { cursorId } = sliceBatch(found.body);
    const wait = commandDoc({ getMore: cursorId, collection: 'tail', maxTimeMS: 30_000, $db: 'wire' });
    const both = Promise.allSettled([connection.request(wait), connection.request(wait)]);
    await new Promise((resolve) => setTimeout(resolve, 100));
    await rs.members[0]!.kill();
    for (const one of await both) expect(one).toMatchObject({ status: 'rejected', reason: { code: 'GW3001' } });
    expect(connection.closed).toBe(true);
    await expect(connect(rs, login)).rejects.toMatchObject({ code: 'GW3001' });
  });
});

describe('on a server with TLS', () => {
  let rs: ReplicaSet;
  beforeAll(async () => {
    rs = await startReplicaSet({ members: 1, auth: AUTH, tls: { mode: 'requireTLS', x509: true } });
  }, START_MS);
  afterAll(() => rs?.stop());

  test('logs in by certificate, carries data, and trusts no stranger', async () => {
    const { caFile, clientCertKeyFile, clientSubject } = rs.tls!;
    const pem = readFileSync(clientCertKeyFile);
    const target = { host: '127.0.0.1', port: rs.members[0]!.port, connectTimeoutMs: 10_000, socketTimeoutMs: 0 };
    const ca = readFileSync(caFile);
    const connection = await WireConnection.connect({
      ...target,
      tls: { ca, cert: pem, key: pem },
      credentials: { mechanism: 'MONGODB-X509' },
    });
    const status = await connection.run({ connectionStatus: 1, $db: 'admin' });
    expect(status.authInfo.authenticatedUsers).toMatchObject([{ user: clientSubject, db: '$external' }]);

    const builder = new BsonBuilder();
    for (let i = 0; builder.length < 4 * 1024 * 1024; i++)
      builder.begin().appendInt32('_id', i).appendString('t', 'tls'.repeat(90)).end();
    await insert(connection, 'tls', builder.finish());
    expect((await readBack(connection, 'tls', 1_000_000)).equals(builder.finish())).toBe(true);
    connection.close();

    await expect(WireConnection.connect({ ...target, tls: {} })).rejects.toMatchObject({ code: 'GW2002' });
    await expect(WireConnection.connect({ ...target, connectTimeoutMs: 2000 })).rejects.toMatchObject({
      code: 'GW3001',
    });
    const wrong = { username: 'CN=somebody else', mechanism: 'MONGODB-X509' } as const;
    await expect(
      WireConnection.connect({ ...target, tls: { ca, cert: pem, key: pem }, credentials: wrong }),
    ).rejects.toMatchObject({ code: 'GW2003' });
  });
});
