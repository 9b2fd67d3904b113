import { expect, test } from 'vitest';
import { CODES, type ErrorCode, exitCodeOf } from './codes.ts';
import { GodwitError, invariant, isAborted, isRetryable, throwIfAborted } from './errors.ts';

const ALL = Object.keys(CODES) as ErrorCode[];

test.each(ALL)('%s says what happened, why, and what to do', (code) => {
  const { title, cause, remedy, disposition } = CODES[code];
  for (const text of [title, cause, remedy]) {
    expect(text.trim()).toBe(text);
    expect(text.length).toBeGreaterThan(8);
    expect(text, 'begins like a sentence').toMatch(/^[A-Z`0-9-]/);
  }
  expect(title).not.toMatch(/\.$/);
  expect(cause).toMatch(/[.]$/);
  expect(remedy).toMatch(/[.]$/);
  expect(code).toMatch(/^GW[1-9]\d{3}$/);
  const error = new GodwitError(code, 'x');
  expect(error.disposition).toBe(disposition);
  expect(error.hint).toBe(remedy);
});

test('titles are not used twice, and codes stand in order', () => {
  expect(new Set(ALL.map((code) => CODES[code].title)).size).toBe(ALL.length);
  expect(ALL).toEqual([...ALL].sort());
});

test('the class of a code says who must act', () => {
  for (const code of ALL) {
    const { disposition } = CODES[code];
    const digit = code.charAt(2);
    if (disposition === 'retry') expect(digit).toBe('3');
    if (digit === '3') expect(disposition).toBe(code === 'GW3004' ? 'operator' : 'retry');
    expect(disposition === 'aborted').toBe(digit === '8');
    if (disposition === 'resnapshot') expect(digit).toBe('4');
    if (disposition === 'fatal') expect(digit).toBe('9');
  }
});

test('exit codes go by class, and success is never one of them', () => {
  const byClass: Record<string, number> = { 1: 2, 2: 3, 3: 4, 4: 4, 5: 5, 6: 6, 7: 7, 8: 130, 9: 70 };
  for (const code of ALL) expect(exitCodeOf(code), code).toBe(byClass[code.charAt(2)]);
});

test('errors are told apart by code and never by words', () => {
  expect(isRetryable(new GodwitError('GW3002', 'x'))).toBe(true);
  expect(isRetryable(new Error('GW3002'))).toBe(false);
  expect(isAborted(new GodwitError('GW8001', 'x'))).toBe(true);
  expect(isAborted(new DOMException('x', 'AbortError'))).toBe(true);
  expect(isAborted(new GodwitError('GW3001', 'x'))).toBe(false);
});

test('a set signal becomes its own reason where that is one of ours, else GW8001', () => {
  throwIfAborted(new AbortController().signal);
  const reason = new GodwitError('GW7006', 'x');
  expect(() => throwIfAborted(AbortSignal.abort(reason))).toThrow(reason);
  expect(() => throwIfAborted(AbortSignal.abort('why'))).toThrow(
    expect.objectContaining({ code: 'GW8001', cause: 'why' }),
  );
  expect(() => invariant(0, 'never')).toThrow(expect.objectContaining({ code: 'GW9001', message: 'never' }));
  expect(new GodwitError('GW9001', 'x')).not.toHaveProperty('cause');
});
