/**
 * Hides secrets in text meant for people, logs and disk. A connection string
 * holds a password, and drivers like to repeat it in their error messages.
 *
 * Where a string is ambiguous (an unescaped `@`, `/` or blank inside a
 * password) too much is hidden rather than too little: a lost host name costs a
 * look at the configuration, a leaked password costs the password.
 */

const HIDDEN = '***';

/**
 * Option names whose value is a secret, in a query (`?a=b&c=d`) or a keyword
 * list (`a=b c=d`). Repetitions are bounded: the text may be long, and the time
 * must stay linear in it.
 */
const SECRET_OPTION =
  /((?:passw(?:or)?d|pwd|passphrase|secret|token|api_?key|access_?key)[\w.-]{0,40}\s{0,4}=\s{0,4})('(?:[^'\\]|\\.)*'|[^&\s]+)/gi;

/** `authMechanismProperties` lists pairs; it is hidden whole when one of them is a secret. */
const MECHANISM_PROPERTIES = /(\bauthMechanismProperties=)([^&\s]*)/gi;
const SECRET_PROPERTY = /token|secret|passw|key/i;

/**
 * Where a connection string begins: a known scheme anywhere, any other one only
 * after a blank or a quote, because `bob://x` may be a user and a password.
 */
const SCHEME =
  /(?:mongodb(?:\+srv)?|postgres(?:ql)?|mysql|mariadb|rediss?|amqps?|nats|tls|https?):\/\/|(?<=^|[\s"'`<>([{])[a-z][a-z0-9+.-]{0,30}:\/\//gi;

/** A port, where a password would stand: `host:27017,…` has no password. */
const PORT = /^\d{1,5}(?:[,/?#\s"'`<>)\]};:.]|$)/;

/** The text with the secrets of every connection string and secret option in it replaced by `***`. */
export function redactUri(text: string): string {
  return redactAuthorities(text)
    .replace(MECHANISM_PROPERTIES, (whole, name: string, value: string) =>
      SECRET_PROPERTY.test(value) ? name + HIDDEN : whole,
    )
    .replace(SECRET_OPTION, `$1${HIDDEN}`);
}

function redactAuthorities(text: string): string {
  const schemes = [...text.matchAll(SCHEME)];
  const first = schemes[0];
  if (first === undefined) return text;
  const alone = text.slice(0, first.index).trim() === '';
  let out = text.slice(0, first.index);
  schemes.forEach((scheme, i) => {
    const body = text.slice(scheme.index + scheme[0].length, schemes[i + 1]?.index ?? text.length);
    out += scheme[0] + redactAuthority(body, alone && i === 0);
  });
  return out;
}

/** `body` follows `scheme://`; `alone` when the text begins with it, so that blanks belong to it. */
function redactAuthority(body: string, alone: boolean): string {
  const colon = body.indexOf(':');
  if (colon < 0 || body.startsWith('[')) return body;
  const at = passwordEnd(body, colon, alone);
  if (at <= colon) return body;
  return `${body.slice(0, colon + 1)}${HIDDEN}${body.slice(at)}`;
}

/** Index of the `@` that ends the password, or -1 when there is none. */
function passwordEnd(body: string, colon: number, alone: boolean): number {
  const word = body.search(/[\s"'`<>]/);
  const wordEnd = word < 0 ? body.length : word;
  const inWord = wordEnd === 0 ? -1 : body.lastIndexOf('@', wordEnd - 1);
  const looksWhole = inWord > colon && /^[\w[]/.test(body.slice(inWord + 1));
  const noPassword =
    inWord <= colon && (colon > wordEnd || (inWord >= 0 && inWord < colon) || PORT.test(body.slice(colon + 1)));
  if (noPassword) return -1;
  if (looksWhole && !alone) return inWord;
  // A blank or a quote inside the password: everything up to the last `@` of the line is hidden.
  const lineEnd = body.indexOf('\n', colon);
  return body.lastIndexOf('@', lineEnd < 0 ? body.length : lineEnd);
}
