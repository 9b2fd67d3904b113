/** What routes use of this adapter. */

export { mergeSystem } from './merge/merge-system.ts';
export type { MergeReport } from './merge/report.ts';
export { VERSION_KEY, type WindowsVersion, windowsVersion } from './merge/windows-version.ts';
export { type HiveFile, openHive } from './open-hive.ts';
export { readHive } from './read-hive.ts';
export { sameTree } from './same-tree.ts';
export { writeHive } from './write-hive.ts';
