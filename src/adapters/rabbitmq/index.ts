/** What routes use of this adapter. */

export { type RabbitmqOptions, rabbitmqDoorbell } from './doorbell.ts';
