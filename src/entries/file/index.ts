export { openFileEntry } from './entry.ts';
