export { openWebhookEntry } from './entry.ts';
