/**
 * A program of the user's, told by HTTP POST to move the address. A request
 * may come more than once: `idempotencyKey` is the same for repeats of one
 * move, also after a crash of ours, and new when the address moves again.
 */
import { createHash, createHmac, randomUUID } from 'node:crypto';
import { type Clock, systemClock } from '../../kernel/clock.ts';
import { GodwitError, throwIfAborted } from '../../kernel/errors.ts';
import type { CheckpointStore, Entry } from '../../kernel/ports.ts';

export interface WebhookEntryOptions {
  readonly url: string;
  /** Signs the body, so that the receiver can tell us from others. */
  readonly secret?: string;
  readonly timeoutSeconds: number;
}

interface Address {
  readonly hosts: readonly string[];
  readonly setName: string;
}

export interface WebhookEntryContext {
  readonly run: string;
  readonly from: Address;
  readonly to: Address;
  readonly memory: Pick<CheckpointStore, 'get' | 'set'>;
  readonly clock?: Clock;
}

type Action = 'flip' | 'unflip' | 'check';

/** The last move asked for, written down before it is asked for. */
interface Remembered {
  readonly action: Action;
  readonly idempotencyKey: string;
}

/** Answers after which the same request may succeed. */
const PASSING = new Set([408, 425, 429, 500, 502, 503, 504]);
const FIRST_WAIT_MS = 200;
const LONGEST_WAIT_MS = 5_000;
const MOST_WORDS = 300;

export function openWebhookEntry(options: WebhookEntryOptions, ctx: WebhookEntryContext): Entry {
  const { clock = systemClock } = ctx;
  const url = parseUrl(options.url);
  // The address may hold a secret of its own: state and messages get neither query nor login.
  const shown = `${url.origin}${url.pathname}`;
  const memoryKey = `entry.webhook:${createHash('sha256').update(options.url).digest('hex').slice(0, 16)}`;

  const keyOf = (action: Action): string => {
    if (action === 'check') return randomUUID();
    const last = ctx.memory.get<Remembered>(memoryKey);
    if (last?.action === action) return last.idempotencyKey;
    const idempotencyKey = `${ctx.run}-${action}-${randomUUID()}`;
    ctx.memory.set(memoryKey, { action, idempotencyKey } satisfies Remembered);
    return idempotencyKey;
  };

  const post = async (action: Action, signal: AbortSignal): Promise<void> => {
    const body = JSON.stringify({
      version: 1,
      action,
      run: ctx.run,
      // Where applications go after the call, and from where; `unflip` goes back.
      to: action === 'unflip' ? ctx.from : ctx.to,
      from: action === 'unflip' ? ctx.to : ctx.from,
      at: new Date(clock.now()).toISOString(),
      idempotencyKey: keyOf(action),
    });
    const until = clock.now() + options.timeoutSeconds * 1000;
    for (let attempt = 1, waitMs = FIRST_WAIT_MS; ; attempt += 1, waitMs = Math.min(LONGEST_WAIT_MS, waitMs * 2)) {
      throwIfAborted(signal);
      const answer = await attemptOnce(url, headersOf(body, options.secret), body, until - clock.now(), signal);
      if (answer === undefined) return;
      throwIfAborted(signal);
      const late = clock.now() + waitMs >= until;
      if (!answer.passing || late) {
        const times = attempt === 1 ? '' : ` (${attempt} attempts in ${options.timeoutSeconds} s)`;
        throw new GodwitError('GW7005', `The webhook ${shown} refused "${action}"${times}: ${answer.why}`, {
          details: { url: shown, action, attempts: attempt },
        });
      }
      await clock.sleep(waitMs, signal);
    }
  };

  return {
    kind: 'webhook',
    check: (signal) => post('check', signal),
    flip: (signal) => post('flip', signal),
    unflip: (signal) => post('unflip', signal),
  };
}

function parseUrl(text: string): URL {
  let url: URL | undefined;
  try {
    url = new URL(text);
  } catch {
    // Said below, without the text: it may hold a secret.
  }
  if (url?.protocol !== 'http:' && url?.protocol !== 'https:') {
    throw new GodwitError('GW1001', 'The url of the webhook entry is not an http or https address');
  }
  if (url.username || url.password) {
    throw new GodwitError(
      'GW1001',
      `The url of the webhook ${url.host} holds a login, which cannot be sent so; use a secret, which signs the request`,
    );
  }
  return url;
}

function headersOf(body: string, secret: string | undefined): Record<string, string> {
  const headers: Record<string, string> = { 'content-type': 'application/json', 'user-agent': 'godwit' };
  if (secret !== undefined) {
    headers['x-godwit-signature'] = `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`;
  }
  return headers;
}

/** Undefined for success, else why not. */
async function attemptOnce(
  url: URL,
  headers: Record<string, string>,
  body: string,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<{ passing: boolean; why: string } | undefined> {
  const timeout = AbortSignal.timeout(Math.max(1, Math.ceil(timeoutMs)));
  try {
    const response = await fetch(url, {
      method: 'POST',
      headers,
      body,
      // A redirected POST becomes a GET, which moves nothing.
      redirect: 'manual',
      signal: AbortSignal.any([signal, timeout]),
    });
    if (response.ok) {
      await response.body?.cancel();
      return undefined;
    }
    const words = (await response.text().catch(() => '')).slice(0, MOST_WORDS).replace(/\s+/g, ' ').trim();
    return { passing: PASSING.has(response.status), why: `HTTP ${response.status}${words ? `, ${words}` : ''}` };
  } catch (error) {
    const cause = (error as Error).cause;
    const why = timeout.aborted
      ? 'no answer in time'
      : cause instanceof Error
        ? cause.message || String((cause as NodeJS.ErrnoException).code)
        : String(error);
    return { passing: true, why };
  }
}
