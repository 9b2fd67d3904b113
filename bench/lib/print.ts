/** What a benchmark prints: notes while it works, tables and verdicts at the end. */

export function note(text: string): void {
  process.stderr.write(`${new Date().toISOString().slice(11, 19)} ${text}\n`);
}

/** A number as a cell; unknown ones are shown as a dash. */
export function cell(value: number | undefined, digits = 1): string {
  return value === undefined || !Number.isFinite(value) ? '–' : value.toFixed(digits);
}

/** The first column is text and stands left, the others right. A Markdown table, so that it can be pasted. */
export function table(headings: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = headings.map((heading, i) => Math.max(heading.length, ...rows.map((row) => (row[i] ?? '').length)));
  const line = (cells: readonly string[]): string =>
    `| ${widths.map((width, i) => (i === 0 ? (cells[i] ?? '').padEnd(width) : (cells[i] ?? '').padStart(width))).join(' | ')} |`;
  const rule = `|${widths.map((width, i) => (i === 0 ? '-'.repeat(width + 2) : `${'-'.repeat(width + 1)}:`)).join('|')}|`;
  return [line(headings), rule, ...rows.map(line)].join('\n');
}

/** One target of the issue, and whether this run reached it. */
export interface Verdict {
  readonly what: string;
  /** Undefined when something it needs was not measured. */
  readonly value: number | undefined;
  readonly atMost?: number;
  readonly atLeast?: number;
  readonly unit?: string;
}

/** Undefined when it could not be measured. */
export function isMet(verdict: Verdict): boolean | undefined {
  const { value } = verdict;
  if (value === undefined || Number.isNaN(value)) return undefined;
  return (
    value <= (verdict.atMost ?? Number.POSITIVE_INFINITY) && value >= (verdict.atLeast ?? Number.NEGATIVE_INFINITY)
  );
}

export function verdictLine(verdict: Verdict): string {
  const met = isMet(verdict);
  const word = met === undefined ? 'not measured' : met ? 'met' : 'MISSED';
  const limit = verdict.atMost === undefined ? `≥ ${verdict.atLeast}` : `≤ ${verdict.atMost}`;
  const unit = verdict.unit === undefined ? '' : ` ${verdict.unit}`;
  return `${word.padEnd(12)} ${verdict.what}: ${cell(verdict.value, 2)}${unit} (target ${limit}${unit})`;
}
