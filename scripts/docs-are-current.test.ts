import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { configPage, errorsPage } from './reference-docs.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

test.each([
  ['errors.md', errorsPage],
  ['config.md', configPage],
])('docs/reference/%s is what the code says; `npm run docs` writes it', (name, page) => {
  expect(readFileSync(join(ROOT, 'docs/reference', name), 'utf8')).toBe(page());
});

test('every link between the pages leads somewhere', () => {
  const pages = readdirSync(join(ROOT, 'docs'), { recursive: true, encoding: 'utf8' }).map((path) =>
    join(ROOT, 'docs', path),
  );
  const broken: string[] = [];
  for (const page of [join(ROOT, 'README.md'), ...pages].filter((path) => path.endsWith('.md'))) {
    for (const [, link = ''] of readFileSync(page, 'utf8').matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)) {
      if (!/^[a-z]+:/.test(link) && !existsSync(join(dirname(page), link)))
        broken.push(`${relative(ROOT, page)}: ${link}`);
    }
  }
  expect(broken).toEqual([]);
});
