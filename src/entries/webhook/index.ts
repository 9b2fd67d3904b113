export { openWebhookEntry, type WebhookEntryContext, type WebhookEntryOptions } from './entry.ts';
