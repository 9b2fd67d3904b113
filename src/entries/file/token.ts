/** A value inside a file: where it stands, and how a value is written there. */
export interface Token {
  readonly start: number;
  readonly end: number;
  /** The text between, with quotes if there are any. */
  readonly raw: string;
  /** What the text means. */
  readonly value: string;
  /** Writes another value in this place, in the same style where that can be. */
  encode(value: string): string;
}

/** The text with a token replaced; everything else stays as it is, byte by byte. */
export function splice(text: string, token: Token, raw: string): string {
  return text.slice(0, token.start) + raw + text.slice(token.end);
}
