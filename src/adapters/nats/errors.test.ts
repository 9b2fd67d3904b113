import { inspect } from 'node:util';
import { JetStreamApiError } from '@nats-io/jetstream';
import { errors } from '@nats-io/transport-node';
import { expect, test } from 'vitest';
import { fromNats } from './errors.ts';
import { parseAddress } from './link.ts';

const api = (err_code: number, code = 400) => new JetStreamApiError({ err_code, code, description: 'words' });

test.each([
  [new errors.AuthorizationError('words'), 'GW2003'],
  [new errors.UserAuthenticationExpiredError('words'), 'GW2003'],
  [new errors.PermissionViolationError('words', 'publish', 'x'), 'GW2004'],
  [new errors.TimeoutError(), 'GW3003'],
  [new errors.ClosedConnectionError(), 'GW3001'],
  [new errors.ConnectionError('words'), 'GW3001'],
  [new errors.RequestError('words', { cause: new errors.NoRespondersError('x') }), 'GW3003'],
  [new errors.RequestError('words', { cause: new errors.PermissionViolationError('w', 'publish', 'x') }), 'GW2004'],
  [new errors.RequestError('words'), 'GW3003'],
  [api(10059, 404), 'GW3003'],
  [api(10039, 503), 'GW2004'],
  [api(10065), 'GW1001'],
  [api(10008, 503), 'GW3003'],
  [Object.assign(new Error('words'), { code: 'ECONNRESET' }), 'GW3001'],
  [Object.assign(new Error('words'), { code: 'CERT_HAS_EXPIRED' }), 'GW2002'],
  [new TypeError('x is not a function'), 'GW9001'],
  ['text', 'GW9001'],
])('%s is %s', (error, code) => {
  expect(fromNats(error, 'Testing')).toMatchObject({ code });
});

test('an address is read whole, and never repeated when it is wrong', () => {
  const { name, options } = parseAddress('tls://m%C3%A9:p%40ss%2F@one:4333, two');
  expect(name).toBe('NATS at one:4333,two:4222');
  expect(options).toEqual({ servers: ['one:4333', 'two:4222'], tls: {}, user: 'mé', pass: 'p@ss/' });
  expect(parseAddress('nats://t0ken@[::1]').options).toEqual({ servers: ['[::1]:4222'], token: 't0ken' });
  for (const wrong of ['', 'http://me:s3cret@h', 'nats://me:s3cret%@h', 'nats://me:s3cret@h:x']) {
    let thrown: unknown;
    try {
      parseAddress(wrong);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toMatchObject({ code: 'GW1001' });
    expect(inspect(thrown, { depth: 5 })).not.toContain('s3cret');
  }
});
