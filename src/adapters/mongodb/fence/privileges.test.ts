import { describe, expect, test } from 'vitest';
import { makeSelection } from '../namespaces.ts';
import { withoutWrites, writeReach } from './privileges.ts';

const part = makeSelection(['shop.orders'], [], []);
const whole = makeSelection(['shop'], [], []);
const all = ['find', 'insert', 'update', 'remove', 'dropDatabase'];

describe('how far writes reach', () => {
  test.each([
    [{ db: 'shop', collection: 'orders' }, all, 'named'],
    [{ db: 'shop', collection: 'orders' }, ['find', 'bypassDocumentValidation'], 'none'],
    [{ db: 'shop', collection: 'other' }, all, 'none'],
    [{ db: 'shop', collection: '' }, all, 'named'],
    [{ db: 'bank', collection: '' }, all, 'none'],
    [{ db: '', collection: '' }, all, 'any'],
    [{ db: '', collection: 'orders' }, all, 'any'],
    [{ db: '', collection: 'system.users' }, all, 'none'],
    [{ db: 'shop', system_buckets: 'orders' }, all, 'named'],
    [{ db: 'shop', system_buckets: 'other' }, all, 'none'],
    [{ db: 'shop', system_buckets: '' }, all, 'named'],
    [{ system_buckets: '' }, all, 'any'],
    [{ anyResource: true }, ['anyAction'], 'any'],
    [{ cluster: true }, ['applyOps'], 'none'],
  ])('%j %j: %s', (resource, actions, reach) => {
    expect(writeReach({ resource, actions }, part)).toBe(reach);
  });
});

test('what is left of a grant for a database of which a part moves', () => {
  const others = (db: string) => (db === 'shop' ? ['carts', 'log'] : []);
  const grant = { resource: { db: 'shop', collection: '' }, actions: all };
  expect(withoutWrites([grant], part, others)).toEqual([
    { resource: { db: 'shop', collection: '' }, actions: ['find'] },
    { resource: { db: 'shop', collection: 'carts' }, actions: ['insert', 'update', 'remove'] },
    { resource: { db: 'shop', collection: 'log' }, actions: ['insert', 'update', 'remove'] },
  ]);
  expect(withoutWrites([grant], whole, () => [])).toEqual([
    { resource: { db: 'shop', collection: '' }, actions: ['find'] },
  ]);
});
