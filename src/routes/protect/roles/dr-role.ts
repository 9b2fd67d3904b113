import { FileVolume, type NbdServer, serveNbd } from '../../../adapters/nbd/index.ts';
import { GodwitError } from '../../../kernel/errors.ts';
import type { DrOptions, DrStatus, FailbackResult, PromotionResult, ProtectHooks, RewindResult } from '../api.ts';
import { BringUp } from '../engine/bring-up.ts';
import { Dr } from '../engine/dr.ts';
import { type Promoted, Promotion } from '../engine/promotion.ts';
import { Switchover } from '../engine/switchover.ts';
import { GuardedVolume } from '../guarded-volume.ts';
import { PromotedVolume } from '../promoted-volume.ts';
import type { ControlRequest } from './control.ts';
import { drStatus } from './dr-status.ts';
import { Lifetime, tell } from './events.ts';
import { GivingBack } from './giving-back.ts';
import { CHUNK_BYTES, checkShared, openAreas, volumeNumber } from './layout.ts';
import { Network } from './network.ts';
import { machineNumber, tellWhenComplete } from './newcomer.ts';
import { Rewinding } from './rewinding.ts';
import { serving } from './serving.ts';
import { systemTicker } from './ticker.ts';

const RETRY_MS = 100;
const STALL_MS = 10_000;
/** How long a failback waits for the primary, in leases. */
const PATIENCE_LEASES = 6;
/** Of what is fetched with nobody waiting for it: what is read comes behind so much. */
const FETCHED_AT_ONCE = 4 << 20;
const READ_PATIENCE_MS = 30_000;

/**
 * Runs the DR until the signal is set: keeps order and data, executes them in its image;
 * when it is promoted, serves the volume by NBD.
 */
export async function runDr(options: DrOptions, hooks: ProtectHooks): Promise<void> {
  checkShared(options);
  const role = new DrRole(options, hooks);
  await role.run();
}

class DrRole {
  readonly #options: DrOptions;
  readonly #hooks: ProtectHooks;
  readonly #life: Lifetime;
  readonly #network: Network;
  #dr: Dr | undefined;
  #server: NbdServer | undefined;
  #file: FileVolume | undefined;
  #givingBack: GivingBack | undefined;
  #phase: DrStatus['phase'] = 'following';
  #promotion: PromotionResult | undefined;
  #isPromoting = false;
  #bringUp: BringUp | undefined;
  #rewinding: Rewinding | undefined;

  constructor(options: DrOptions, hooks: ProtectHooks) {
    this.#options = options;
    this.#hooks = hooks;
    this.#life = new Lifetime(hooks.signal);
    const { listen, auxiliary } = options;
    this.#network = new Network({ self: 'dr', shared: options, listen, dial: { auxiliary }, hooks });
  }

  run(): Promise<void> {
    const status = () => this.#status();
    return serving(
      this.#options,
      status,
      () => this.#live(),
      (request) => this.#answer(request),
    );
  }

  async #live(): Promise<void> {
    const options = this.#options;
    try {
      const areas = openAreas(options);
      const undo = areas.undo(options.rewind);
      const dr = await Dr.open({
        areas: {
          image: areas.image(options.image, options.imageAtFirst),
          orders: areas.orders(),
          suspended: areas.suspended(),
          state: areas.state(),
          dirty: areas.dirty(),
          ...(undo ? { undo } : {}),
        },
        link: this.#network,
        ticker: systemTicker,
        volume: volumeNumber(options),
        leaseMs: options.leaseMs,
        retryMs: RETRY_MS,
        chunkBytes: CHUNK_BYTES,
        failed: this.#life.fail,
        ...(options.replace ? { replaces: machineNumber() } : {}),
      });
      this.#dr = dr;
      this.#rewinding = new Rewinding(dr, options.volume, this.#hooks);
      tellWhenComplete(dr, this.#hooks);
      if (dr.takenOver !== undefined) await this.#servesOn(dr);
      await this.#network.start((from, message) => dr.receive(from, message));
      tell(this.#hooks, 'listening', { listen: options.listen, volume: options.volume });
      await this.#life.ended;
    } finally {
      await this.#server?.close();
      await this.#file?.close();
      this.#network.close();
    }
  }

  async #answer(request: ControlRequest): Promise<unknown> {
    if (request.ask === 'status') return this.#status();
    if (request.ask === 'failback') return this.#giveBack(request.stallMs ?? STALL_MS);
    if (request.ask === 'rewind') return this.#rewind(request);
    if (request.ask === 'verify') throw new GodwitError('GW1004', 'This is the DR: the primary compares; ask there');
    return this.#promote(request);
  }

  async #rewind({ to, into }: ControlRequest): Promise<RewindResult> {
    if (this.#rewinding === undefined) throw new GodwitError('GW3001', 'The DR is still being opened');
    if (to === undefined || into === undefined) throw new GodwitError('GW1001', 'A moment and a file are needed');
    return await this.#rewinding.run(to, into);
  }

  #status(): DrStatus | undefined {
    return (
      this.#dr &&
      drStatus(this.#dr, this.#options, {
        phase: this.#phase,
        promotion: this.#promotion,
        failback: this.#givingBack?.status,
        rewind: this.#rewinding?.status,
        isBringingUp: this.#bringUp !== undefined && !this.#bringUp.isDone,
        network: this.#network,
      })
    );
  }

  async #promote(request: ControlRequest): Promise<PromotionResult> {
    const dr = this.#dr;
    if (dr === undefined) throw new GodwitError('GW3001', 'The DR is still being opened');
    if (this.#promotion !== undefined) return this.#promotion;
    if (this.#isPromoting || this.#phase === 'promoted')
      throw new GodwitError('GW1004', `The DR is ${this.#phase} already`);
    this.#isPromoting = true;
    try {
      this.#promotion = await this.#takeOver(dr, request);
    } finally {
      this.#isPromoting = false;
    }
    const { epoch, targets, queued, seconds, stale, manifest } = this.#promotion;
    tell(this.#hooks, 'promoted', { epoch, targets, queued, seconds, stale, lost: manifest.lost.length });
    return this.#promotion;
  }

  /** May be asked again when it had taken over and could not serve. */
  async #takeOver(dr: Dr, { force = false, planned = false, stallMs }: ControlRequest): Promise<PromotionResult> {
    this.#phase = 'promoting';
    tell(this.#hooks, 'promoting', { force, planned });
    const began = performance.now();
    const isNew = dr.takenOver === undefined;
    const outcome = await (planned && isNew ? switchover(dr, stallMs ?? STALL_MS) : promotion(dr, force));
    if (outcome instanceof GodwitError) {
      this.#phase = 'following';
      tell(this.#hooks, 'promotion-refused', { code: outcome.code, message: outcome.message });
      throw outcome;
    }
    await this.#serve(dr);
    return resultOf(outcome, began);
  }

  /** It was promoted before it ended: the volume is its own since then. */
  async #servesOn(dr: Dr): Promise<void> {
    const began = performance.now();
    const outcome = await promotion(dr, false);
    if (outcome instanceof GodwitError) throw outcome;
    await this.#serve(dr);
    this.#promotion = resultOf(outcome, began);
  }

  async #serve(dr: Dr): Promise<void> {
    const { image, nbd, volume, leaseMs } = this.#options;
    this.#bringUp ??= this.#beginBringUp(dr);
    const bringUp = this.#bringUp;
    const gate = dr.gate();
    const file = await FileVolume.open(image);
    try {
      const guarded = new GuardedVolume(new PromotedVolume(bringUp, file), gate);
      this.#server = await serveNbd({ address: nbd, exports: [{ name: volume, volume: guarded }] });
    } catch (error) {
      await file.close();
      throw error;
    }
    this.#file = file;
    this.#givingBack = new GivingBack({
      ...{ dr, gate, hooks: this.#hooks, isReady: () => bringUp.isDone },
      patienceMs: Math.max(leaseMs * PATIENCE_LEASES, 10_000),
    });
    this.#phase = 'promoted';
    tell(this.#hooks, 'serving', { nbd, volume });
  }

  /** The primary leads afterwards, and this side follows it as before. */
  async #giveBack(stallMs: number): Promise<FailbackResult> {
    const givingBack = this.#givingBack;
    if (givingBack === undefined || this.#server === undefined) {
      throw new GodwitError('GW1004', `The DR is ${this.#phase}: there is nothing to give back`);
    }
    const result = await givingBack.run(stallMs);
    const server = this.#server;
    const file = this.#file;
    // Whoever asks for the same failback waits for the same end.
    if (server === undefined) return result;
    this.#server = undefined;
    this.#file = undefined;
    this.#promotion = undefined;
    this.#bringUp = undefined;
    await server.close();
    await file?.close();
    this.#phase = 'following';
    return result;
  }

  #beginBringUp(dr: Dr): BringUp {
    const bringUp = new BringUp(dr, {
      retryMs: RETRY_MS,
      windowBytes: FETCHED_AT_ONCE,
      patienceMs: READ_PATIENCE_MS,
      done: () => tell(this.#hooks, 'brought-up', { last: dr.history.last.sequence }),
    });
    bringUp.start();
    return bringUp;
  }
}

function switchover(dr: Dr, stallMs: number): Promise<Promoted | GodwitError> {
  return new Promise((resolve) => {
    new Switchover(dr, { retryMs: RETRY_MS, stallMs }, resolve).start();
  });
}

/** Of one that had taken over before, what that had done. */
function promotion(dr: Dr, force: boolean): Promise<Promoted | GodwitError> {
  return new Promise((resolve) => {
    new Promotion(dr, { force, retryMs: RETRY_MS }, resolve).start();
  });
}

function resultOf({ last, ...rest }: Promoted, began: number): PromotionResult {
  return { ...rest, last: last.sequence, seconds: (performance.now() - began) / 1000 };
}
