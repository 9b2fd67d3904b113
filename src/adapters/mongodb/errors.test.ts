import * as driver from 'mongodb';
import { describe, expect, test } from 'vitest';
import { GodwitError } from '../../kernel/errors.ts';
import { fromDriver, fromServerReply, isOk, redact, serverCodeOf } from './errors.ts';

const reply = (code: number, extra: object = {}) => ({ ok: 0, code, codeName: 'Name', errmsg: 'words', ...extra });

describe('fromServerReply', () => {
  test.each([
    ['GW3002', [91, 189, 10058, 10107, 11600, 11602, 13435, 13436]],
    ['GW3003', [6, 7, 24, 43, 46, 50, 64, 89, 112, 133, 175, 237, 239, 246, 262, 9001, 11601]],
    ['GW2003', [11, 18]],
    ['GW2004', [13]],
    ['GW4001', [136, 280, 286]],
    ['GW5001', [2, 26, 59, 121, 211, 11000]],
  ] as const)('%s', (expected, codes) => {
    for (const code of codes) {
      const error = fromServerReply(reply(code), 'write');
      expect([code, error.code]).toEqual([code, expected]);
      expect(error.details).toEqual({ where: 'write', serverCode: code, codeName: 'Name' });
      expect(error.message).toBe('write: words (Name)');
      expect(serverCodeOf(error)).toBe(code);
    }
  });

  test("heeds the server's label where it does not know the code, but not against the table", () => {
    const labels = { errorLabels: ['RetryableWriteError'] };
    expect(fromServerReply(reply(424242, labels), 'x').code).toBe('GW3003');
    expect(fromServerReply(reply(13, labels), 'x').code).toBe('GW2004');
  });

  test('takes a write error without a name, numbers as objects, and a reply without words', () => {
    expect(fromServerReply({ index: 0, code: new driver.Int32(112), errmsg: 'w' }, 'x').code).toBe('GW3003');
    expect(fromServerReply({ code: 11000, errmsg: 'dup' }, 'x').message).toBe('x: dup (code 11000)');
    expect(fromServerReply({ ok: 0 }, 'x').details).toEqual({ where: 'x' });
  });

  test('isOk', () => {
    expect([{ ok: 1 }, { ok: true }, { ok: new driver.Double(1) }].every(isOk)).toBe(true);
    expect([{ ok: 0 }, {}, { ok: new driver.Double(0) }].some(isOk)).toBe(false);
  });
});

describe('fromDriver', () => {
  const selection = new driver.MongoServerSelectionError('none', {} as driver.TopologyDescription);

  test('server errors go by their code', () => {
    const error = fromDriver(new driver.MongoServerError({ errmsg: 'w', message: 'w', code: 189, codeName: 'N' }), 'x');
    expect(error).toMatchObject({ code: 'GW3002', details: { serverCode: 189, codeName: 'N' } });
    expect(serverCodeOf(new driver.MongoServerError({ code: 11000 }))).toBe(11000);
    expect(serverCodeOf(new Error('no'))).toBeUndefined();
  });

  test('the rest goes by its class', () => {
    expect(fromDriver(new driver.MongoNetworkError('reset'), 'x').code).toBe('GW3001');
    expect(fromDriver(new driver.MongoNetworkTimeoutError('slow'), 'x').code).toBe('GW3001');
    expect(fromDriver(selection, 'x').code).toBe('GW2002');
    expect(fromDriver(selection, 'x', { established: true }).code).toBe('GW3001');
    expect(fromDriver(new driver.MongoParseError('bad'), 'x').code).toBe('GW1001');
    expect(fromDriver(new driver.MongoTopologyClosedError('closed'), 'x').code).toBe('GW3001');
    expect(fromDriver(new driver.MongoMissingCredentialsError('who'), 'x').code).toBe('GW2003');
    expect(fromDriver(Object.assign(new Error('reset'), { code: 'ECONNRESET' }), 'x').code).toBe('GW3001');
    expect(fromDriver(new DOMException('stop', 'AbortError'), 'x').code).toBe('GW8001');
    expect(fromDriver(new TypeError('oops'), 'x').code).toBe('GW9001');
    expect(fromDriver('a string', 'x').code).toBe('GW9001');
  });

  test('passes our own errors through', () => {
    const ours = new GodwitError('GW7001', 'ours');
    expect(fromDriver(ours, 'x')).toBe(ours);
  });

  test('never repeats a connection string', () => {
    const words = 'bad "mongodb+srv://user:pa$$w@host/db?x=1" and mongodb://u:p%40@h1:1,h2 and http://u:p@h';
    expect(redact(words)).not.toMatch(/user|pa\$|p%40|u:p/);
    expect(fromDriver(new driver.MongoParseError(words), 'x').message).not.toMatch(/pa\$/);
  });
});
