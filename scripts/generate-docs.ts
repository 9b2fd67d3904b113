/** `npm run docs`: writes the reference pages. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { configPage, errorsPage } from './reference-docs.ts';

const folder = new URL('../docs/reference/', import.meta.url);
mkdirSync(folder, { recursive: true });
for (const [name, text] of [
  ['errors.md', errorsPage()],
  ['config.md', configPage()],
] as const) {
  writeFileSync(new URL(name, folder), text);
  console.log(`docs/reference/${name}`);
}
