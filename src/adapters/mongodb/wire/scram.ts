/**
 * The client's side of SCRAM (RFC 5802, RFC 7677) as MongoDB uses it
 * (specifications/source/auth/auth.md): no channel binding, and for SHA-1 the
 * password is first turned into MongoDB's older digest.
 */
import { createHash, createHmac, pbkdf2, randomBytes, timingSafeEqual } from 'node:crypto';
import { createRequire } from 'node:module';
import { promisify } from 'node:util';
import { GodwitError } from '../../../kernel/errors.ts';

export type ScramMechanism = 'SCRAM-SHA-1' | 'SCRAM-SHA-256';

const deriveKey = promisify(pbkdf2);

/** RFC 7677 asks for at least this much; fewer rounds would make the password cheap to guess. */
const MIN_ITERATIONS = 4096;

const GS2_HEADER = 'n,,';

/** What goes into the key derivation in place of the password. */
export function preparePassword(mechanism: ScramMechanism, username: string, password: string): string {
  if (mechanism === 'SCRAM-SHA-256') return saslprep(password);
  return createHash('md5').update(`${username}:mongo:${password}`, 'utf8').digest('hex');
}

/**
 * RFC 4013. The driver's own implementation is used, found from the driver so
 * that no layout of node_modules can hide it. ASCII needs no preparation.
 */
function saslprep(text: string): string {
  if (/^[\x20-\x7e]*$/.test(text)) return text;
  try {
    const fromDriver = createRequire(createRequire(import.meta.url).resolve('mongodb'));
    const found: unknown = fromDriver('@mongodb-js/saslprep');
    const prepare = typeof found === 'function' ? found : (found as { saslprep?: unknown }).saslprep;
    if (typeof prepare === 'function') return String(prepare(text));
  } catch (cause) {
    if (!(cause instanceof Error && 'code' in cause)) {
      throw new GodwitError('GW2003', 'The password holds characters that SASLprep forbids');
    }
  }
  return text.normalize('NFKC');
}

/** One run of the exchange: `first`, then `final`, then `verify`. */
export class ScramConversation {
  readonly #hash: 'sha1' | 'sha256';
  readonly #password: string;
  readonly #nonce: string;
  readonly #firstBare: string;
  #serverSignature: Buffer | undefined;

  constructor(mechanism: ScramMechanism, username: string, preparedPassword: string, nonce?: string) {
    this.#hash = mechanism === 'SCRAM-SHA-1' ? 'sha1' : 'sha256';
    this.#password = preparedPassword;
    this.#nonce = nonce ?? randomBytes(24).toString('base64');
    const name = username.replace(/=/g, '=3D').replace(/,/g, '=2C');
    this.#firstBare = `n=${name},r=${this.#nonce}`;
  }

  first(): Buffer {
    return Buffer.from(GS2_HEADER + this.#firstBare, 'utf8');
  }

  async final(serverFirst: Buffer): Promise<Buffer> {
    const text = serverFirst.toString('utf8');
    const fields = parseFields(text);
    const nonce = fields.get('r') ?? '';
    if (nonce.length <= this.#nonce.length || !nonce.startsWith(this.#nonce)) throw refused('its nonce is not ours');
    const iterations = Number(fields.get('i'));
    if (!Number.isInteger(iterations) || iterations < MIN_ITERATIONS) throw refused('it asks for too few iterations');
    const salt = Buffer.from(fields.get('s') ?? '', 'base64');

    const size = this.#hash === 'sha1' ? 20 : 32;
    const salted = await deriveKey(this.#password, salt, iterations, size, this.#hash);
    const clientKey = this.#hmac(salted, 'Client Key');
    const storedKey = createHash(this.#hash).update(clientKey).digest();
    const withoutProof = `c=${Buffer.from(GS2_HEADER).toString('base64')},r=${nonce}`;
    const authMessage = `${this.#firstBare},${text},${withoutProof}`;
    const proof = this.#hmac(storedKey, authMessage);
    for (let i = 0; i < size; i++) proof[i]! ^= clientKey[i]!;
    this.#serverSignature = this.#hmac(this.#hmac(salted, 'Server Key'), authMessage);
    return Buffer.from(`${withoutProof},p=${proof.toString('base64')}`, 'utf8');
  }

  /** Makes sure that the server knows the password too. */
  verify(serverFinal: Buffer): void {
    const fields = parseFields(serverFinal.toString('utf8'));
    const expected = this.#serverSignature;
    const signature = Buffer.from(fields.get('v') ?? '', 'base64');
    if (expected === undefined || signature.length !== expected.length || !timingSafeEqual(signature, expected)) {
      throw refused('its signature is wrong');
    }
  }

  #hmac(key: Buffer, text: string): Buffer {
    return createHmac(this.#hash, key).update(text, 'utf8').digest();
  }
}

function parseFields(text: string): Map<string, string> {
  return new Map(text.split(',').map((field) => [field.slice(0, 1), field.slice(2)]));
}

function refused(why: string): GodwitError {
  return new GodwitError('GW2003', `SCRAM: the server cannot be trusted, ${why}`);
}
