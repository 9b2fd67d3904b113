/**
 * Greets the server and logs in (specifications/source/mongodb-handshake and
 * .../auth). Runs on a connection that does nothing else yet.
 */
import { arch, type as osType, platform, release } from 'node:os';
import { Binary, type Document } from 'bson';
import { GodwitError } from '../../../kernel/errors.ts';
import { serverCodeOf } from '../errors.ts';
import type { Command } from './command.ts';
import { preparePassword, ScramConversation, type ScramMechanism } from './scram.ts';
import type { WireCredentials, WireTarget } from './target.ts';

/** Runs a command; throws the mapped error for `ok: 0`. */
export type RunCommand = (command: Command, options?: { where?: string }) => Promise<Document>;

const COMMAND_NOT_FOUND = 59;

/** The server takes no longer application names than this (handshake specification). */
const MAX_APP_NAME_BYTES = 128;

/** Answers with the server's `hello`. */
export async function shakeHands(run: RunCommand, target: WireTarget): Promise<Document> {
  const { credentials } = target;
  const user = credentials?.username;
  const ask: Command = {
    hello: 1,
    helloOk: true,
    client: clientMetadata(target.appName),
    saslSupportedMechs:
      user !== undefined && credentials?.mechanism === undefined ? `${sourceOf(credentials)}.${user}` : undefined,
    $db: 'admin',
  };
  const hello = await greet(run, ask);
  if (credentials !== undefined) await authenticate(run, credentials, hello);
  return hello;
}

/** Servers before 4.4.2 know the greeting by its old name only. */
async function greet(run: RunCommand, ask: Command): Promise<Document> {
  try {
    return await run(ask);
  } catch (error) {
    if (serverCodeOf(error) !== COMMAND_NOT_FOUND) throw error;
    const { hello: _, ...rest } = ask;
    return run({ isMaster: 1, ...rest, $db: 'admin' });
  }
}

function clientMetadata(appName: string | undefined): Document {
  return {
    application: appName === undefined ? undefined : { name: cutToBytes(appName, MAX_APP_NAME_BYTES) },
    driver: { name: 'godwit', version: '0' },
    os: { type: osType(), name: platform(), architecture: arch(), version: release() },
    platform: `Node.js ${process.version}`,
  };
}

function cutToBytes(text: string, limit: number): string {
  let cut = text;
  while (Buffer.byteLength(cut) > limit) cut = cut.slice(0, -1);
  return cut;
}

function sourceOf(credentials: WireCredentials | undefined): string {
  return credentials?.source ?? 'admin';
}

async function authenticate(run: RunCommand, credentials: WireCredentials, hello: Document): Promise<void> {
  // An arbiter has no users to check against; it answers without a login.
  if (hello.arbiterOnly === true) return;
  const mechanism = credentials.mechanism ?? negotiate(hello);
  try {
    if (mechanism === 'MONGODB-X509') {
      await run({ authenticate: 1, mechanism, user: credentials.username, $db: '$external' });
    } else {
      await scram(run, mechanism, credentials);
    }
  } catch (error) {
    throw asLoginError(error);
  }
}

/** SHA-256 wherever the server has it for this user; SHA-1 is what every server has. */
function negotiate(hello: Document): ScramMechanism {
  const offered: unknown = hello.saslSupportedMechs;
  return Array.isArray(offered) && offered.includes('SCRAM-SHA-256') ? 'SCRAM-SHA-256' : 'SCRAM-SHA-1';
}

async function scram(run: RunCommand, mechanism: ScramMechanism, credentials: WireCredentials): Promise<void> {
  const { username, password } = credentials;
  if (username === undefined || password === undefined) {
    throw new GodwitError('GW2003', `${mechanism} needs a user and a password`);
  }
  const $db = sourceOf(credentials);
  const conversation = new ScramConversation(mechanism, username, preparePassword(mechanism, username, password));
  const started = await run({
    saslStart: 1,
    mechanism,
    payload: new Binary(conversation.first()),
    options: { skipEmptyExchange: true },
    $db,
  });
  const conversationId: unknown = started.conversationId;
  const final = await conversation.final(payloadOf(started));
  let answer = await run({ saslContinue: 1, conversationId, payload: new Binary(final), $db });
  conversation.verify(payloadOf(answer));
  // Servers before 4.4 want one more, empty, round.
  if (answer.done !== true) {
    answer = await run({ saslContinue: 1, conversationId, payload: new Binary(Buffer.alloc(0)), $db });
  }
  if (answer.done !== true) throw new GodwitError('GW2003', `${mechanism}: the server did not end the exchange`);
}

function payloadOf(reply: Document): Buffer {
  const payload: unknown = reply.payload;
  if (payload instanceof Binary) return Buffer.from(payload.buffer.subarray(0, payload.position));
  if (typeof payload === 'string') return Buffer.from(payload, 'utf8');
  throw new GodwitError('GW2003', 'The server answered a login without a payload');
}

/** Whatever the server refuses here, it refuses the login: some services use codes of their own (8000). */
function asLoginError(error: unknown): unknown {
  if (!(error instanceof GodwitError) || error.disposition === 'retry' || error.disposition === 'aborted') return error;
  if (error.code === 'GW2003') return error;
  return new GodwitError('GW2003', error.message, { details: error.details, cause: error });
}
