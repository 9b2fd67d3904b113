/** Texts as lines that keep every byte: what is not meant to change comes back as it was. */

/** What begins a line that Godwit put out of use. */
export const TURNED_OFF = '# godwit relocate: not on this machine: ';

/** Lines with their line feeds. */
export function linesOf(text: string): readonly string[] {
  return text.match(/[^\n]*\n|[^\n]+$/g) ?? [];
}

export function turnedOff(line: string): string {
  return `${TURNED_OFF}${line}`;
}

/** Each line that is an entry by `pattern`, and no comment, as `rewrite` has it; every other line as it was. Its second group begins the entry. */
export function rewriteEntries(
  text: string,
  pattern: RegExp,
  rewrite: (fields: readonly (string | undefined)[], line: string) => string,
): string {
  return linesOf(text)
    .map((line) => {
      const match = pattern.exec(line);
      return match === null || (match[2] ?? '').startsWith('#') ? line : rewrite([...match], line);
    })
    .join('');
}

/** A text with a line more; the last one gets the line feed that it lacks. */
export function withLine(text: string, line: string): string {
  return `${text === '' || text.endsWith('\n') ? text : `${text}\n`}${line}\n`;
}
