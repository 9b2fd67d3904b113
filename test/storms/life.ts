/** The life of a remodel: every phase, with ramps, shares and ways back by chance. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { RemodelPhase } from '../../src/kernel/remodel/index.ts';
import { wayBack } from '../../src/routes/remodel/engine/way-back.ts';
import type { Log } from './children.ts';
import type { Operator } from './operator.ts';
import type { Random } from './random.ts';

export type End = 'retired' | 'rolled back';

export interface LifeOptions {
  readonly operator: Operator;
  readonly random: Random;
  readonly log: Log;
  /** Only up to the ramp, and back. */
  readonly isShort: boolean;
  /** Called before each step. */
  readonly enters: (phase: RemodelPhase) => void;
  /** Before the old table is not looked at any more: whoever writes past the library must stop. */
  readonly beforeContract: () => Promise<void>;
}

interface Step {
  readonly phase: RemodelPhase;
  readonly go: () => Promise<void>;
}

export async function live(options: LifeOptions): Promise<End> {
  const { operator, random, log, enters, isShort } = options;
  const steps = stepsOf(options);
  // Four of ten lives end where they began; three of ten go some phases back on the way, and on again.
  const backAt = isShort ? 0 : random.chance(0.4) ? random.below(steps.length) : undefined;
  let detourAt = random.chance(0.3) ? random.below(steps.length) : undefined;
  for (let i = 0; i < steps.length; ) {
    const { phase, go } = steps[i] as Step;
    enters(phase);
    await go();
    await sleep(random.between(50, 500));
    if (i === backAt) {
      await back(phase, 'created');
      return 'rolled back';
    }
    if (i === detourAt) {
      detourAt = undefined;
      const to = random.pick(wayBack(phase, 'created'));
      await back(phase, to);
      // Back in dual the ramp is at 0 again.
      i = to === 'dual' ? 0 : steps.findIndex((step) => step.phase === to) + 1;
    } else i += 1;
  }
  enters('retired');
  await operator.move(['retire', '--trap', 'refuse', '--cycle', '0s'], 'trapped');
  await operator.move(['retire', '--confirm', 'customers', '--cycle', '0s', '--accept-lossy'], 'retired');
  return 'retired';

  async function back(from: RemodelPhase, to: RemodelPhase): Promise<void> {
    log(`→ back from ${from} to ${to}`);
    await operator.move(['rollback', '--to', to], to);
  }
}

function stepsOf({ operator, random, beforeContract }: LifeOptions): readonly Step[] {
  const ramp = async () => {
    for (let n = random.below(3); n >= 0; n -= 1) {
      await operator.move(['ramp', `${random.below(101)}%`], 'dual');
      await sleep(random.between(50, 400));
    }
    await operator.move(['ramp', '100%'], 'dual');
  };
  const backfill = () => {
    if (random.chance(0.5)) operator.doom('copier');
    // Slow enough to be killed in the middle; a slower one beside it may go on when it is over.
    const words = (rate: number) => ['backfill', '--chunk', '20', '--max-rate', String(rate)];
    if (random.chance(0.3)) operator.beside(words(25));
    return operator.move(words(200), 'backfilling');
  };
  const reads = async () => {
    // Compared in the shadow or not: a difference found where there is none bars the way.
    const shadow = random.chance(0.4) ? ['shadow', '50%'] : [];
    const least = shadow.length > 0 ? 5 : 0;
    for (const [n, share] of [random.below(100) + 1, random.below(100) + 1, 100].entries()) {
      await operator.move(['reads', ...shadow, `${share}%`, '--min-shadow', String(n === 0 ? 0 : least)], 'reads');
      await sleep(random.between(50, 300));
    }
  };
  const contract = async () => {
    await beforeContract();
    await operator.move(['contract'], 'new-only');
  };
  return [
    { phase: 'dual', go: ramp },
    { phase: 'sealed', go: () => operator.move(['seal'], 'sealed') },
    { phase: 'backfilling', go: backfill },
    { phase: 'verified', go: () => operator.move(['verify', '--by-value'], 'verified') },
    { phase: 'reads', go: reads },
    { phase: 'new-only', go: contract },
    { phase: 'trapped', go: () => operator.move(['retire', '--trap', 'record', '--cycle', '0s'], 'trapped') },
  ];
}
