import type { Document } from 'bson';
import { systemClock } from '../../../kernel/clock.ts';
import { throwIfAborted } from '../../../kernel/errors.ts';
import { WireConnection, type WireTarget } from '../wire/connection.ts';

/** What a member says of its locks. */
export interface LockLook {
  readonly locked: boolean;
  /** Somebody's request to lock is still waiting for writers to end. */
  readonly pending: boolean;
}

const ANSWER_WITHIN_MS = 10_000;
const LOOK_AGAIN_MS = 100;

/**
 * The `fsync` lock of one member: no write is applied there while it stands.
 * It belongs to no connection and ends with the process of the server only.
 *
 * Both connections are made before the lock is: should the member then let
 * nobody log in any more, they still can unlock it.
 */
export class MemberLock {
  readonly #target: WireTarget;
  #control: WireConnection;
  readonly #locker: WireConnection;

  private constructor(target: WireTarget, control: WireConnection, locker: WireConnection) {
    this.#target = target;
    this.#control = control;
    this.#locker = locker;
  }

  static async open(target: WireTarget, signal?: AbortSignal): Promise<MemberLock> {
    const control = await WireConnection.connect({ ...target, socketTimeoutMs: ANSWER_WITHIN_MS }, signal);
    try {
      // To be granted the lock may take as long as the longest operation there.
      return new MemberLock(target, control, await WireConnection.connect({ ...target, socketTimeoutMs: 0 }, signal));
    } catch (error) {
      control.close();
      throw error;
    }
  }

  /** The connection that waits for nothing; made again when it was lost. */
  async control(): Promise<WireConnection> {
    if (this.#control.closed)
      this.#control = await WireConnection.connect({ ...this.#target, socketTimeoutMs: ANSWER_WITHIN_MS });
    return this.#control;
  }

  async look(): Promise<LockLook> {
    const reply = await (await this.control()).run({ currentOp: 1, 'command.fsync': { $exists: true }, $db: 'admin' });
    const requests = (reply['inprog'] as Document[]).filter((operation) => operation['command']?.lock);
    return { locked: reply['fsyncLock'] === true, pending: requests.length > 0 };
  }

  /** Resolves when no write is under way there and none can begin. */
  async lock(): Promise<void> {
    await this.#locker.run({ fsync: 1, lock: true, $db: 'admin' });
  }

  /**
   * Takes one lock away: ours, when the journal says that there is one. Waits
   * for a request to lock that is still under way, or it would lock after us.
   * Gives how many locks are left, which are others'; undefined when none stood.
   */
  async unlock(signal: AbortSignal): Promise<number | undefined> {
    for (;;) {
      throwIfAborted(signal);
      const { locked, pending } = await this.look();
      if (locked) {
        try {
          const reply = await (await this.control()).run({ fsyncUnlock: 1, $db: 'admin' });
          return Number(reply['lockCount'] ?? 0);
        } catch (error) {
          // To unlock what is not locked is refused without a code: others were faster.
          if (!(await this.look()).locked) return undefined;
          throw error;
        }
      }
      if (!pending) return undefined;
      await systemClock.sleep(LOOK_AGAIN_MS, signal);
    }
  }

  /** The same, whatever goes wrong, until it is certain or the signal is set: then the last fault is thrown. */
  async unlockCertainly(signal: AbortSignal): Promise<number | undefined> {
    for (;;) {
      try {
        return await this.unlock(signal);
      } catch (error) {
        if (signal.aborted) throw error;
        await systemClock.sleep(LOOK_AGAIN_MS * 5, signal);
        if (signal.aborted) throw error;
      }
    }
  }

  close(): void {
    this.#control.close();
    this.#locker.close();
  }
}
