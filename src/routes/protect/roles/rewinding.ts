import { existsSync, rmSync } from 'node:fs';
import { FileArea } from '../../../adapters/block-files/index.ts';
import { GodwitError } from '../../../kernel/errors.ts';
import type { MomentAt, ProtectHooks, RewindResult, RewindStatus, RewindTo } from '../api.ts';
import type { Dr } from '../engine/dr.ts';
import { isCurrent, rewind } from '../engine/rewind.ts';
import type { Moment } from '../engine/undo-log.ts';
import { tell } from './events.ts';

/** Copies of the DR's volume as it was at earlier moments, one at a time. */
export class Rewinding {
  readonly #dr: Dr;
  readonly #volume: string;
  readonly #hooks: ProtectHooks;
  #copied: number | undefined;

  constructor(dr: Dr, volume: string, hooks: ProtectHooks) {
    this.#dr = dr;
    this.#volume = volume;
    this.#hooks = hooks;
  }

  get status(): RewindStatus | undefined {
    const { undo, voter, parts, applied } = this.#dr;
    if (undo === undefined) return undefined;
    const { reach, fill } = undo;
    const isOpen = reach !== undefined && voter.activated === 0 && isCurrent(this.#dr, undo);
    // What is in the log may be executed a moment later only.
    const to = reach && (reach.to.sequence > applied ? { sequence: applied, time: 0 } : reach.to);
    return {
      reach: isOpen && to ? { from: momentAt(reach.from), to: momentAt(to) } : null,
      fill,
      ...(this.#copied === undefined ? {} : { copy: { bytes: this.#copied, totalBytes: parts.areas.image.bytes } }),
    };
  }

  /** @throws GodwitError GW7020 when it cannot be reached, GW1001 when the file is there already */
  async run(to: RewindTo, file: string): Promise<RewindResult> {
    if (this.#copied !== undefined) throw new GodwitError('GW1004', 'A copy is being made already; wait for its end');
    if (existsSync(file)) throw new GodwitError('GW1001', `${file} is there already; nothing is overwritten`);
    const began = performance.now();
    this.#copied = 0;
    let area: FileArea | undefined;
    let isWhole = false;
    try {
      area = FileArea.open(file, this.#dr.parts.areas.image.bytes, { allocate: false });
      const wanted = 'time' in to ? { time: to.time * 1000 } : to;
      const { moment, undone } = await rewind(this.#dr, wanted, area, (bytes) => {
        this.#copied = (this.#copied ?? 0) + bytes;
      });
      isWhole = true;
      const seconds = (performance.now() - began) / 1000;
      const result = { volume: this.#volume, file, moment: momentAt(moment), undone, seconds };
      tell(this.#hooks, 'rewound', { file, sequence: moment.sequence, operations: undone.operations });
      return result;
    } finally {
      this.#copied = undefined;
      area?.close();
      // Half a copy is no volume.
      if (area !== undefined && !isWhole) rmSync(file, { force: true });
    }
  }
}

function momentAt({ sequence, time }: Moment): MomentAt {
  return { sequence, at: time > 0 ? new Date(time / 1000).toISOString() : null };
}
