export { Relay, type RelayStatus } from './relay.ts';
