/**
 * The auxiliary's area as somebody else writes it: granted to who leads, one at a time, and
 * taken back before anybody else is promised anything.
 */
import { GodwitError } from '../../../kernel/errors.ts';
import type { AreaServer, Done, MountedArea } from '../../../kernel/protect/ports.ts';
import type { Joined } from './area-parts.ts';

/** What one primary may do, for as long as it may. */
class Grant implements MountedArea {
  readonly bytes: number;
  readonly #area: Joined;
  readonly #failed: (error: Error) => void;
  #isOver = false;
  #underWay = 0;
  #drained: (() => void)[] = [];

  constructor(area: Joined, failed: (error: Error) => void) {
    this.#area = area;
    this.#failed = failed;
    this.bytes = area.bytes;
  }

  read(position: number, into: Buffer): Promise<void> {
    if (this.#isOver) return Promise.reject(revoked());
    return this.#area.read(position, into);
  }

  write(position: number, data: Buffer, done: Done): void {
    this.#do(done, (end) => this.#area.write(position, data, end));
  }

  writeDurably(position: number, data: Buffer, done: Done): void {
    this.#do(done, (end) =>
      this.#area.write(position, data, (error) => {
        if (error) end(error);
        else this.#area.syncOf(position, data.length, end);
      }),
    );
  }

  clear(position: number, bytes: number, done: Done): void {
    this.#do(done, (end) => this.#area.clear(position, bytes, end));
  }

  sync(done: Done): void {
    this.#do(done, (end) => this.#area.sync(end));
  }

  close(): void {
    this.#isOver = true;
  }

  /** Nothing new begins, and nothing that was begun is confirmed; `drained` when it has ended. */
  revoke(drained: () => void): void {
    this.#isOver = true;
    if (this.#underWay === 0) drained();
    else this.#drained.push(drained);
  }

  #do(done: Done, act: (end: Done) => void): void {
    if (this.#isOver) {
      done(revoked());
      return;
    }
    this.#underWay += 1;
    act((error) => {
      this.#underWay -= 1;
      if (error) this.#failed(error);
      done(this.#isOver ? revoked() : error);
      if (this.#underWay === 0 && this.#isOver) for (const drained of this.#drained.splice(0)) drained();
    });
  }
}

export class ExportedArea {
  readonly #area: Joined;
  readonly #server: AreaServer | undefined;
  readonly #failed: (error: Error) => void;
  /** A control: what was granted stays so. */
  readonly #neverRevokes: boolean;
  /** Taken back perhaps, and not at its end yet. */
  #last: Grant | undefined;
  #granted: { readonly attempt: number; readonly where: string } | undefined;
  /** Of this epoch; what comes late must not end what came after it. */
  #attempt = 0;

  constructor(area: Joined, server: AreaServer | undefined, failed: (error: Error) => void, neverRevokes: boolean) {
    this.#area = area;
    this.#server = server;
    this.#failed = failed;
    this.#neverRevokes = neverRevokes;
  }

  /** Somebody may write to it now. */
  get isGranted(): boolean {
    return this.#granted !== undefined;
  }

  /** Gives the word by which it is mounted, once nobody else can change anything; nothing when it is not served. */
  grant(attempt: number, done: (where: string | undefined) => void): void {
    const server = this.#server;
    if (server === undefined) {
      done(undefined);
      return;
    }
    if (attempt < this.#attempt) return;
    if (attempt === this.#attempt) {
      // Asked again, because the answer was lost; or it is on its way.
      if (this.#granted?.attempt === attempt) done(this.#granted.where);
      return;
    }
    this.#attempt = attempt;
    this.#takeBack(() => {
      if (this.#attempt !== attempt || this.#granted !== undefined) return;
      const grant = new Grant(this.#area, this.#failed);
      const where = server.offer(grant);
      this.#last = grant;
      this.#granted = { attempt, where };
      done(where);
    });
  }

  /** Before another epoch is promised: whoever has it mounted changes nothing any more once `done` is called. */
  revoke(done: () => void): void {
    this.#attempt = 0;
    this.#takeBack(done);
  }

  #takeBack(done: () => void): void {
    const granted = this.#granted;
    this.#granted = undefined;
    if (this.#last === undefined || this.#neverRevokes) {
      done();
      return;
    }
    if (granted !== undefined) this.#server?.withdraw(granted.where);
    this.#last.revoke(done);
  }
}

function revoked(): GodwitError {
  return new GodwitError('GW3001', 'The shared area was taken back');
}
