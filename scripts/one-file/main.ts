/** `npm run build:agent [-- --out FILE]`: the `relocate` commands as one executable file. */
import { statSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { makeOneFile } from './make.ts';

const { values } = parseArgs({
  options: { out: { type: 'string', default: `build/godwit-${process.platform}-${process.arch}` } },
});
const { version, glibc } = await makeOneFile({ out: values.out });
const megabytes = (statSync(values.out).size / 1e6).toFixed(0);
console.log(`${values.out}: godwit ${version}, Node ${process.versions.node}, ${megabytes} MB, needs glibc ${glibc}`);
