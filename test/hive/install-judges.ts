import { existsSync } from 'node:fs';
import { installPackages } from '../servers/debian-packages.ts';
import { runCommand } from '../servers/run-command.ts';

/** Debian's packages of two readers that know nothing of ours, and of each other. */
const PACKAGES = ['libhivex-bin', 'libwin-hivex-perl', 'reglookup'] as const;
const TOOLS = ['hivexsh', 'hivexml', 'hivexregedit', 'reglookup'] as const;

/** Installs hivex and reglookup where they are missing, as the test servers do with theirs. */
export async function requireJudges(): Promise<void> {
  const missing = TOOLS.filter((tool) => !existsSync(`/usr/bin/${tool}`));
  if (missing.length === 0 && (await runCommand('perl', ['-MWin::Hivex', '-e', '1'])).code === 0) return;
  const { code, stderr } = await installPackages(PACKAGES);
  if (code !== 0) throw new Error(`hivex and reglookup could not be installed: ${stderr.slice(-500)}`);
}
