import type { Ticker } from '../../../kernel/protect/ports.ts';

/** Time as the machine has it; leases go by a clock that nobody sets. */
export const systemTicker: Ticker = {
  elapsed: () => performance.now(),
  now: () => Date.now(),
  after: (ms, act) => {
    const timer = setTimeout(act, ms);
    return () => clearTimeout(timer);
  },
};
