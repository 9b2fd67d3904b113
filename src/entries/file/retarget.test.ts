import { describe, expect, test } from 'vitest';
import { retarget } from './retarget.ts';

const TO = { hosts: ['n1:27017', 'n2:27018'], setName: 'new' };

describe('an address at another cluster', () => {
  test.each([
    ['mongodb://old:27017', 'mongodb://n1:27017,n2:27018/?replicaSet=new'],
    [
      'mongodb://u:p%40@a,b:1/db?replicaSet=old&w=majority',
      'mongodb://u:p%40@n1:27017,n2:27018/db?w=majority&replicaSet=new',
    ],
    [
      'mongodb://a/?ReplicaSet=x&authSource=admin&directConnection=true',
      'mongodb://n1:27017,n2:27018/?authSource=admin&replicaSet=new',
    ],
    [
      'mongodb+srv://u:p@c.example.net/db?retryWrites=true',
      'mongodb://u:p@n1:27017,n2:27018/db?retryWrites=true&tls=true&replicaSet=new',
    ],
    ['mongodb+srv://c.example.net/?tls=false', 'mongodb://n1:27017,n2:27018/?tls=false&replicaSet=new'],
    [`mongodb://\${USER}:\${PASS}@a:1/db`, `mongodb://\${USER}:\${PASS}@n1:27017,n2:27018/db?replicaSet=new`],
    ['a:27017', 'n1:27017,n2:27018'],
    ['10.0.0.1:27017,[::1]:27018', 'n1:27017,n2:27018'],
  ])('%s', (before, after) => {
    expect(retarget(before, TO)).toBe(after);
  });

  test('says in words what the DNS name said', () => {
    expect(retarget('mongodb+srv://u:p@c.example.net/', TO, 'authSource=admin&replicaSet=atlas')).toBe(
      'mongodb://u:p@n1:27017,n2:27018/?authSource=admin&tls=true&replicaSet=new',
    );
  });

  test('is not guessed at', () => {
    expect(() => retarget('postgres://a/b', TO)).toThrow(expect.objectContaining({ code: 'GW1001' }));
    expect(() => retarget('', TO)).toThrow(expect.objectContaining({ code: 'GW1001' }));
  });
});
