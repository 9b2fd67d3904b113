import { describe, expect, test } from 'vitest';
import { preparePassword, ScramConversation } from './scram.ts';

const text = (value: string): Buffer => Buffer.from(value, 'utf8');

describe('ScramConversation', () => {
  test('RFC 5802, section 5: SHA-1', async () => {
    const scram = new ScramConversation('SCRAM-SHA-1', 'user', 'pencil', 'fyko+d2lbbFgONRv9qkxdawL');
    expect(scram.first().toString()).toBe('n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL');
    const nonce = 'fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j';
    const final = await scram.final(text(`r=${nonce},s=QSXCR+Q6sek8bf92,i=4096`));
    expect(final.toString()).toBe(`c=biws,r=${nonce},p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=`);
    scram.verify(text('v=rmF9pqV8S7suAoZWja4dJRkFsKQ='));
  });

  test('RFC 7677, section 3: SHA-256', async () => {
    const scram = new ScramConversation('SCRAM-SHA-256', 'user', 'pencil', 'rOprNGfwEbeRWgbNEkqO');
    const nonce = 'rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0';
    const final = await scram.final(text(`r=${nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096`));
    expect(final.toString()).toBe(`c=biws,r=${nonce},p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=`);
    scram.verify(text('v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4='));
  });

  test('trusts no server with another nonce, few iterations or a wrong signature', async () => {
    const refused = expect.objectContaining({ code: 'GW2003' });
    const scram = new ScramConversation('SCRAM-SHA-256', 'user', 'pencil', 'abc');
    await expect(scram.final(text('r=xyzabc,s=W22ZaA==,i=4096'))).rejects.toThrow(refused);
    await expect(scram.final(text('r=abc,s=W22ZaA==,i=4096'))).rejects.toThrow(refused);
    await expect(scram.final(text('r=abcd,s=W22ZaA==,i=1000'))).rejects.toThrow(refused);
    expect(() => scram.verify(text('v='))).toThrow(refused);
    await scram.final(text('r=abcd,s=W22ZaA==,i=4096'));
    expect(() => scram.verify(text('v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4='))).toThrow(refused);
    expect(() => scram.verify(text('e=other-error'))).toThrow(refused);
  });

  test('escapes user names', () => {
    expect(new ScramConversation('SCRAM-SHA-1', 'a=b,c', 'x', 'n').first().toString()).toBe('n,,n=a=3Db=2Cc,r=n');
  });
});

describe('preparePassword', () => {
  test("is MongoDB's digest for SHA-1 and SASLprep for SHA-256", () => {
    expect(preparePassword('SCRAM-SHA-1', 'user', 'pencil')).toBe('1c33006ec1ffd90f9cadcbcc0e118200');
    expect(preparePassword('SCRAM-SHA-256', 'user', 'pencil')).toBe('pencil');
    // RFC 4013, section 3: a soft hyphen goes, a ligature or a Roman numeral is spelt out.
    expect(preparePassword('SCRAM-SHA-256', 'user', 'I\u00adX')).toBe('IX');
    expect(preparePassword('SCRAM-SHA-256', 'user', '\u2168')).toBe('IX');
    expect(() => preparePassword('SCRAM-SHA-256', 'user', '\u0627\u0031')).toThrow(
      expect.objectContaining({ code: 'GW2003' }),
    );
  });
});
