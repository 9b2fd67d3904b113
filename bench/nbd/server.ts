/** Started by `bench/nbd.ts`: Godwit's server over one file, in a process of its own. */
import { FileVolume, serveNbd } from '../../src/adapters/nbd/index.ts';

const [image, path] = process.argv.slice(2) as [string, string];
const volume = await FileVolume.open(image);
await serveNbd({
  address: { path },
  exports: [{ name: '', volume }],
  onFailure: (error) => {
    process.stderr.write(`${String(error)}\n`);
    process.exit(1);
  },
});
// So that a profile is written.
process.on('SIGTERM', () => process.exit(0));
