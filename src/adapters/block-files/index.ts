/** What routes use of this adapter. */
export { FileArea } from './file-area.ts';
