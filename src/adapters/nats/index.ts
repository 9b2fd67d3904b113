/** What routes use of this adapter. */

export { type NatsOptions, natsDoorbell } from './doorbell.ts';
