import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { serialize } from 'bson';
import { afterEach, describe, expect, test } from 'vitest';
import { GodwitError } from '../../../kernel/errors.ts';
import { MessageAssembler } from './assembler.ts';
import { BufferPool } from './buffer-pool.ts';
import { parseReply } from './command.ts';
import { commandDoc, WireConnection } from './connection.ts';
import { buildMessage, FLAG, type ParsedMessage, parseMessage } from './message.ts';

const bson = (doc: object): Buffer => Buffer.from(serialize(doc));
const cleanUp: (() => void)[] = [];
afterEach(() => {
  for (const one of cleanUp.splice(0)) one();
});

function answerTo(requestId: number, doc: object, flags = 0): Buffer {
  const message = Buffer.concat(buildMessage(bson(doc), undefined, flags));
  message.writeInt32LE(requestId, 8);
  return message;
}

/** A server of our own, which answers `hello` and leaves the rest to the test. */
async function serve(onRequest: (request: ParsedMessage, socket: Socket) => unknown): Promise<number> {
  const server = createServer((socket) => {
    const assembler = new MessageAssembler(
      (message) => {
        const request = parseMessage(message);
        if (parseReply(request.body).hello === 1) socket.write(answerTo(request.requestId, { ok: 1, greeted: true }));
        else onRequest(request, socket);
      },
      new BufferPool(),
      { scratch: false },
    );
    socket.on('data', (chunk: Buffer) => assembler.push(chunk));
    socket.on('error', () => {});
    cleanUp.push(() => socket.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  cleanUp.push(() => server.close());
  return (server.address() as AddressInfo).port;
}

async function connect(port: number, timeouts: { connect?: number; socket?: number } = {}): Promise<WireConnection> {
  const connection = await WireConnection.connect({
    host: '127.0.0.1',
    port,
    connectTimeoutMs: timeouts.connect ?? 5000,
    socketTimeoutMs: timeouts.socket ?? 0,
  });
  cleanUp.push(() => connection.close());
  return connection;
}

const ping = commandDoc({ ping: 1, $db: 'admin' });
const lost = expect.objectContaining({ code: 'GW3001' });

describe('WireConnection', () => {
  test('greets, and matches pipelined replies, small and large, to their requests', async () => {
    const port = await serve((request, socket) => {
      const { size, n } = parseReply(request.body);
      socket.write(answerTo(request.requestId, { n, filler: 'y'.repeat(Number(size)), ok: 1 }));
    });
    const connection = await connect(port);
    expect(connection.hello).toMatchObject({ greeted: true });
    expect(connection.host).toBe(`127.0.0.1:${port}`);
    const sizes = [1, 3_000_000, 60_000, 70_000, 16_000_000, 5, 0];
    const replies = await Promise.all(
      sizes.map((size, n) => connection.request(commandDoc({ echo: 1, size, n, $db: 'admin' }))),
    );
    for (const [n, reply] of replies.entries()) {
      expect(reply.body.equals(bson({ n, filler: 'y'.repeat(sizes[n]!), ok: 1 }))).toBe(true);
      reply.release();
      reply.release();
    }
  });

  test('a command that fails throws the mapped error, and the connection goes on', async () => {
    let asked = 0;
    const port = await serve((request, socket) => {
      const reply = asked++ === 0 ? { ok: 0, code: 10107, codeName: 'NotWritablePrimary', errmsg: 'no' } : { ok: 1 };
      socket.write(answerTo(request.requestId, reply));
    });
    const connection = await connect(port);
    await expect(connection.run({ ping: 1, $db: 'admin' })).rejects.toMatchObject({ code: 'GW3002' });
    await expect(connection.run({ ping: 1, $db: 'admin' })).resolves.toEqual({ ok: 1 });
  });

  test('a server that goes away rejects everything outstanding', async () => {
    const port = await serve((_request, socket) => socket.destroy());
    const connection = await connect(port);
    const both = await Promise.allSettled([connection.request(ping), connection.request(ping)]);
    for (const one of both) expect(one).toMatchObject({ status: 'rejected', reason: { code: 'GW3001' } });
    expect(connection.closed).toBe(true);
    await expect(connection.request(ping)).rejects.toThrow(lost);
  });

  test('a server that ends politely, or talks nonsense, is lost too', async () => {
    for (const farewell of ['', 'HTTP/1.1 400 Bad Request\r\n\r\n']) {
      const port = await serve((_request, socket) => socket.end(farewell));
      await expect((await connect(port)).request(ping)).rejects.toThrow(lost);
    }
  });

  test('an answer to nothing that was asked is lost', async () => {
    const port = await serve((request, socket) => socket.write(answerTo(request.requestId + 1000, { ok: 1 })));
    await expect((await connect(port)).request(ping)).rejects.toThrow(lost);
  });

  test('close is immediate', async () => {
    const port = await serve(() => {});
    const connection = await connect(port);
    const waiting = connection.request(ping);
    connection.close();
    await expect(waiting).rejects.toThrow(lost);
  });

  test('the socket may be still only while nothing is asked', async () => {
    let silent = false;
    const port = await serve((request, socket) => {
      if (!silent) socket.write(answerTo(request.requestId, { ok: 1 }));
    });
    const connection = await connect(port, { socket: 60 });
    await connection.request(ping);
    await new Promise((resolve) => setTimeout(resolve, 150));
    await connection.request(ping);
    silent = true;
    await expect(connection.request(ping)).rejects.toThrow(/no answer for 60 ms/);
  });

  test('connecting: refused, too slow, and aborted', async () => {
    const server = createServer((socket) => cleanUp.push(() => socket.destroy()));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    await expect(connect(port, { connect: 50 })).rejects.toThrow(/no connection within 50 ms/);

    const controller = new AbortController();
    const target = { host: '127.0.0.1', port, connectTimeoutMs: 0, socketTimeoutMs: 0 };
    const aborted = WireConnection.connect(target, controller.signal);
    setTimeout(() => controller.abort(), 20);
    await expect(aborted).rejects.toMatchObject({ code: 'GW8001' });
    await expect(WireConnection.connect(target, controller.signal)).rejects.toBeInstanceOf(GodwitError);

    for (const one of cleanUp.splice(0)) one();
    server.close();
    await once(server, 'close');
    await expect(connect(port)).rejects.toMatchObject({ code: 'GW3001', details: { errno: 'ECONNREFUSED' } });
  });

  test('a certificate that cannot be read bars the connection', async () => {
    const target = {
      host: '127.0.0.1',
      port: 1,
      tls: { cert: 'no', key: 'no' },
      connectTimeoutMs: 100,
      socketTimeoutMs: 0,
    };
    await expect(WireConnection.connect(target)).rejects.toMatchObject({ code: 'GW2002' });
  });

  test('exhaust gives every reply in order and holds a fast server back', async () => {
    const total = 40;
    let sent = 0;
    let stalled = false;
    const port = await serve((request, socket) => {
      if ((request.flags & FLAG.exhaustAllowed) === 0) {
        socket.write(answerTo(request.requestId, { ok: 1 }));
        return;
      }
      let respondTo = request.requestId;
      const filler = 'z'.repeat(1_000_000);
      const next = (): void => {
        while (sent < total) {
          const n = sent++;
          const message = answerTo(respondTo, { n, filler }, n < total - 1 ? FLAG.moreToCome : 0);
          respondTo = message.readInt32LE(4);
          if (!socket.write(message)) {
            stalled = true;
            socket.once('drain', next);
            return;
          }
        }
      };
      next();
    });
    const connection = await connect(port);
    let n = 0;
    for await (const reply of connection.exhaust(ping)) {
      if (n === 3) {
        await new Promise((resolve) => setTimeout(resolve, 100));
        expect(stalled && sent < total).toBe(true);
      }
      expect(parseReply(reply.body).n).toBe(n++);
      reply.release();
    }
    expect(n).toBe(total);
    await expect(connection.run({ ping: 1, $db: 'admin' })).resolves.toMatchObject({ ok: 1 });
  });

  test('leaving an exhaust stream early closes the connection', async () => {
    const port = await serve((request, socket) => socket.write(answerTo(request.requestId, { n: 0 }, FLAG.moreToCome)));
    const connection = await connect(port);
    for await (const _ of connection.exhaust(ping)) break;
    expect(connection.closed).toBe(true);
  });
});
