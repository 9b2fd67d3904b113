export { type FileEntry, type FileEntryContext, type FileEntryOptions, openFileEntry } from './entry.ts';
export { type ClusterAddress, retarget } from './retarget.ts';
