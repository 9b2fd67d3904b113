/** Which roles the primary counts on. A change holds from the moment its record is settled by its own rule. */
import type { Primary } from './primary.ts';
import { type Marks, MODES, type Mode, type ModeCondition, NEXT_MODE, settledBy } from './rules.ts';

export class Modes {
  readonly #primary: Primary;
  /** By which acknowledgements are given; nothing after a restart, until the last record is settled again. */
  #effective: Mode | undefined;
  /** Of the last mode record. */
  #logged: Mode;
  #loggedAt = 0;
  #headBefore = 0;
  #changedAt: number;

  constructor(primary: Primary, mode: Mode) {
    this.#primary = primary;
    this.#logged = mode;
    this.#changedAt = primary.parts.ticker.elapsed();
  }

  get logged(): Mode {
    return this.#logged;
  }

  get effective(): Mode | undefined {
    return this.#effective;
  }

  /** As at the beginning: both others are level. */
  restart(): void {
    this.#effective = undefined;
    this.#logged = 'full';
    this.#loggedAt = 0;
    this.#headBefore = 0;
    this.#changedAt = this.#primary.parts.ticker.elapsed();
  }

  recovered(mode: Mode, sequence: number): void {
    this.#logged = mode;
    this.#loggedAt = sequence;
  }

  /** Up to where everything is safe, by the mode in force. */
  settled(marks: Marks): number {
    const { policy } = this.#primary.parts.settings;
    const experiment = this.#primary.parts.experiment;
    const counted: Marks = {
      ...marks,
      share: experiment?.ignoreAuxiliary ? marks.local : marks.share,
      order: experiment?.ignoreOrder ? marks.local : marks.order,
    };
    const byLogged = settledBy(policy, this.#logged, counted);
    if (this.#effective !== this.#logged && byLogged >= this.#loggedAt) this.#effective = this.#logged;
    return this.#effective === undefined ? 0 : settledBy(policy, this.#effective, counted);
  }

  tick(): void {
    const { lanes, history, parts } = this.#primary;
    const headBefore = this.#headBefore;
    this.#headBefore = history.last.sequence;
    const { patienceMs } = parts.settings;
    const { replenishing } = this.#primary;
    if (replenishing.isRunning && this.#logged !== 'no-dr' && lanes.isLevel('dr', headBefore)) this.#countIn();
    if (patienceMs === undefined) return;
    const holds: Readonly<Record<ModeCondition, () => boolean>> = {
      'auxiliary-silent': () => lanes.silentFor('auxiliary') > patienceMs,
      'dr-silent': () => lanes.silentFor('dr') > patienceMs,
      'auxiliary-level': () => lanes.isLevel('auxiliary', headBefore),
      'dr-level': () => lanes.isLevel('dr', headBefore),
      'dr-silent-auxiliary-level': () => holds['dr-silent']() && holds['auxiliary-level'](),
      'auxiliary-silent-dr-level': () => holds['auxiliary-silent']() && holds['dr-level'](),
    };
    // A change that is not in force yet is waited for, but not for ever.
    const elapsed = parts.ticker.elapsed();
    if (this.#effective !== this.#logged && elapsed - this.#changedAt < patienceMs) return;
    // Any other record would count in a DR that does not have everything yet.
    const isBarred = (to: Mode) => replenishing.isRunning && this.#logged !== 'no-dr' && to !== 'no-dr';
    const move = NEXT_MODE[this.#logged].find(({ to, when }) => !isBarred(to) && holds[when]());
    if (move === undefined) return;
    const sequence = this.#primary.control('mode', MODES.indexOf(move.to));
    if (sequence === undefined) return;
    const before = this.#logged;
    this.#logged = move.to;
    this.#loggedAt = sequence;
    this.#changedAt = elapsed;
    if (before === 'no-dr') replenishing.countedAt = sequence;
  }

  /** The same mode once more: from this record on the DR, which was new, has everything. */
  #countIn(): void {
    const { replenishing } = this.#primary;
    if (replenishing.countedAt !== undefined) return;
    replenishing.countedAt = this.#primary.control('mode', MODES.indexOf(this.#logged));
    if (replenishing.countedAt !== undefined) this.#loggedAt = replenishing.countedAt;
  }
}
