/** What routes use of this adapter. */
export { NbdClient } from './client.ts';
export { FileVolume } from './file-volume.ts';
export { LastingVolume } from './lasting-volume.ts';
export { type NbdServer, serveNbd } from './server.ts';
