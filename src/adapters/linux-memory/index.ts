/** What a process can do so that the memory its users have filled does not stop it. */
export { becomeIoFlusher, type IoFlusher, ioFlusher } from './io-flusher.ts';
