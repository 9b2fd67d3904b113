/** A call of the page cache takes a few microseconds; one that takes longer than this waits for something. */
const SLOW_MS = 0.1;
/** After a slow call so many times its length passes before the next is made on the spot. */
const REST = 25;

/**
 * Whether a system call may be made on the spot, holding up everything else in
 * this thread, or goes to the thread pool. The way through the pool costs more
 * than ten times what a call of the page cache takes, so calls are made on the
 * spot while they are quick; a slow one sends those after it to the pool for
 * a while, so that waiting takes no more than a 25th of the thread's time.
 */
export class Pace {
  #poolUntil = 0;

  isQuick(now: number): boolean {
    return now >= this.#poolUntil;
  }

  took(started: number, ended: number): void {
    const ms = ended - started;
    if (ms > SLOW_MS) this.#poolUntil = ended + ms * REST;
  }
}
