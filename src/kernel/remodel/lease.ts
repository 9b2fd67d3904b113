/** A process that was not seen for longer, in milliseconds, is not waited for: it asks for the control record before it relies on it again. */
export const LEASE_ALIVE_MS = 5_000;
