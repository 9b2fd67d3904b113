/** A string literal. */
export function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

/** A list of files for `read_parquet`, each meant as it is written, though it hold what DuckDB takes for a pattern. */
export function fileList(files: readonly string[]): string {
  return `[${files.map((file) => literal(exactly(file))).join(', ')}]`;
}

/** A path as a pattern that only it fits. */
export function exactly(file: string): string {
  return file.replace(/[*?[]/g, '[$&]');
}

/** The columns of a table of the snapshot: `k, c0, c1`. */
export function columnList(columns: number): readonly string[] {
  return ['k', ...Array.from({ length: columns }, (_, i) => `c${i}`)];
}
