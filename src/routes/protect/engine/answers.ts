type Answer = (error?: Error) => void;

/** Answers that wait for their operations to be settled, in order, and for the lease. */
export class Answers {
  readonly #mayAnswer: () => boolean;
  /** Sorted: operations get their sequences in order. */
  #settling: { needs: number; answer: Answer }[] = [];
  #plain: Answer[] = [];
  #running = false;

  constructor(mayAnswer: () => boolean) {
    this.#mayAnswer = mayAnswer;
  }

  /** `needs`: the sequence that must be settled before; 0 for nothing but the lease. */
  wait(needs: number, answer: Answer): void {
    if (needs === 0) this.#plain.push(answer);
    else this.#settling.push({ needs, answer });
  }

  run(settled: number): void {
    if (this.#running) return;
    this.#running = true;
    // An answer may take long or bring new work: the lease is looked at before each.
    while (this.#plain.length > 0 && this.#mayAnswer()) this.#plain.shift()?.();
    let count = 0;
    while (count < this.#settling.length && (this.#settling[count]?.needs ?? 0) <= settled && this.#mayAnswer()) {
      this.#settling[count]?.answer();
      count += 1;
    }
    if (count > 0) this.#settling = this.#settling.slice(count);
    this.#running = false;
  }

  fail(error: Error): void {
    const all = [...this.#plain.splice(0), ...this.#settling.splice(0).map(({ answer }) => answer)];
    for (const answer of all) answer(error);
  }
}
