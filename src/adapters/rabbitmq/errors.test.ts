import { inspect } from 'node:util';
import { expect, test } from 'vitest';
import { fromBroker } from './errors.ts';
import { parseAddress } from './link.ts';

const coded = (code: number | string, message = 'words') => Object.assign(new Error(message), { code });

test.each([
  [coded(320), 'GW3001'],
  [coded(403), 'GW2004'],
  [coded(404), 'GW3003'],
  [coded(406), 'GW3003'],
  [coded(530), 'GW2004'],
  [coded(999), 'GW9001'],
  [coded('ECONNREFUSED'), 'GW3001'],
  [coded('ENOTFOUND'), 'GW3001'],
  [coded('DEPTH_ZERO_SELF_SIGNED_CERT'), 'GW2002'],
  [coded('ERR_TLS_CERT_ALTNAME_INVALID'), 'GW2002'],
  [new Error('channel closed'), 'GW3001'],
  [new TypeError('x is not a function'), 'GW9001'],
  ['text', 'GW9001'],
])('%s is %s', (error, code) => {
  expect(fromBroker(error, 'Testing')).toMatchObject({ code });
});

test('a declaration that does not fit is for a person', () => {
  expect(fromBroker(coded(406), 'Testing', { declaring: true })).toMatchObject({ code: 'GW1001' });
});

test('words of others lose their credentials', () => {
  const { message } = fromBroker(new Error('cannot reach amqp://me:s3cret@host'), 'Testing');
  expect(message).not.toContain('s3cret');
});

test('an address is read whole, and never repeated when it is wrong', () => {
  const { name, options } = parseAddress('amqps://m%C3%A9:p%40ss%2F@[::1]:5673/v%2Fh?heartbeat=3');
  expect(name).toBe('RabbitMQ at [::1]:5673');
  expect(options).toMatchObject({ protocol: 'amqps', hostname: '::1', port: 5673, username: 'mé', password: 'p@ss/' });
  expect(options).toMatchObject({ vhost: 'v%2Fh', heartbeat: 3 });
  const plain = parseAddress('amqp://host').options;
  expect([plain.username, plain.password, plain.port, plain.vhost]).toEqual([undefined, undefined, undefined, '']);
  for (const wrong of ['me:s3cret', 'http://me:s3cret@h', 'amqp://me:s3cret%@h', 'amqp://me:s3cret@h?heartbeat=x']) {
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
