import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ReportData } from './data.ts';
import { reportPage } from './page.ts';

/**
 * Writes report.html and report.json into a directory. Each appears whole or
 * not at all, so that a page opened in a browser may be written again.
 */
export function writeReport(dir: string, data: ReportData): { readonly html: string; readonly json: string } {
  mkdirSync(dir, { recursive: true });
  const paths = { html: join(dir, 'report.html'), json: join(dir, 'report.json') };
  replaceFile(paths.html, reportPage(data));
  replaceFile(paths.json, `${JSON.stringify({ version: 1, ...data }, null, 2)}\n`);
  return paths;
}

function replaceFile(path: string, text: string): void {
  const fresh = `${path}.${process.pid}.tmp`;
  writeFileSync(fresh, text);
  renameSync(fresh, path);
}
