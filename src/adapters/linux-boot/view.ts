/**
 * A moved system as it would run, without a byte of it being changed: its own
 * programs see it for reading only, in mounts and processes that end with them.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type Ran, run } from './run.ts';

const SCRIPT = `
set -e
view=$1; work=$2; root=$3; count=$4; shift 4
mount --bind "$root" "$view"
mount -o remount,bind,ro "$view"
while [ "$count" -gt 0 ]; do
  mount --bind "$root$1" "$view$1"
  mount -o remount,bind,ro "$view$1"
  count=$((count - 1)); shift
done
mount -t tmpfs -o mode=755 godwit "$view/dev"
for node in null zero full random urandom tty; do cp -a /dev/$node "$view/dev/$node"; done
ln -s /proc/self/fd "$view/dev/fd"
mount -t proc proc "$view/proc"
mount -t tmpfs -o mode=755 godwit "$view/run"
mount --bind "$work" "$view/tmp"
exec chroot "$view" "$@"
`;

/** `mounts` are below the root, without itself: `/boot`. What is written to /tmp lies in `work` afterwards. */
export function runInView(
  { root, mounts, work }: { readonly root: string; readonly mounts: readonly string[]; readonly work: string },
  command: readonly string[],
  signal: AbortSignal,
): Promise<Ran> {
  const view = `${work}.view`;
  for (const dir of [view, join(work)]) mkdirSync(dir, { recursive: true });
  const own = ['--mount', '--pid', '--fork', '--kill-child', '--propagation', 'private'];
  const words = [view, work, root, String(mounts.length), ...mounts, ...command];
  return run('unshare', [...own, 'sh', '-c', SCRIPT, 'sh', ...words], { TMPDIR: '/tmp' }, signal);
}
