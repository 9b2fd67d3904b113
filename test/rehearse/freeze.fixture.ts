/** Freezes a file system and waits to be killed: `freeze.fixture.ts MOUNT`. */
import { freeze } from '../../src/adapters/linux-boot/index.ts';

await using _frozen = await freeze([process.argv[2] ?? '']);
process.stdout.write('frozen\n');
await new Promise((resolve) => process.stdin.once('end', resolve).resume());
