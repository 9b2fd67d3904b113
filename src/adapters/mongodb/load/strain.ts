/** What members of source and target suffer from, in words. Pure. */
import type { MemberLoad } from './member-load.ts';

export interface Strain {
  /** Why to go slower; undefined when nothing is strained. */
  readonly slower?: string;
  /** Why not to go faster; undefined when nothing is near a limit. */
  readonly hold?: string;
}

/** What is judged against: the lags of the look before, and how often each member was over a limit in a row. */
export interface StrainState {
  readonly lags: ReadonlyMap<string, number>;
  readonly queued: ReadonlyMap<string, number>;
}

export const NO_STRAIN: StrainState = { lags: new Map(), queued: new Map() };

const LAG_SECONDS = 10;
const DIRTY_PERCENT = 15;
/** So many operations that wait are a queue, when they do at two looks in a row: one look may meet a burst. */
const QUEUED = 8;
const QUEUED_LOOKS = 2;
/** From this share of a limit on, the rate is not raised any more. */
const NEAR = 0.9;

/** The gravest first. `maxSourceLoad` in percent; undefined: the source may be as busy as it is. */
export function strainOf(
  state: StrainState,
  loads: readonly MemberLoad[],
  maxSourceLoad: number | undefined,
): { strain: Strain; state: StrainState } {
  const lags = new Map<string, number>();
  const queued = new Map<string, number>();
  let slower: string | undefined;
  let hold: string | undefined;
  for (const load of loads) {
    const who = `${load.cluster} ${load.address} (${load.state})`;
    const key = `${load.cluster} ${load.address}`;
    const lag = load.lagSeconds ?? 0;
    lags.set(key, lag);
    const waits = (load.queued ?? 0) >= QUEUED ? (state.queued.get(key) ?? 0) + 1 : 0;
    queued.set(key, waits);

    if (load.flowControl) slower ??= `${who} holds its writers back, because a majority falls behind`;
    // Delayed on purpose, standing still, or catching up: only what falls back further counts.
    if (lag > LAG_SECONDS && lag > (state.lags.get(key) ?? 0))
      slower ??= `${who} is ${Math.round(lag)} s behind and falls back`;
    if (waits >= QUEUED_LOOKS) slower ??= `${load.queued} operations queue at ${who}`;
    // A target that is being filled has a dirty cache, and nobody else on it.
    if (load.cluster === 'source' && (load.dirty ?? 0) > DIRTY_PERCENT)
      slower ??= `${Math.round(load.dirty ?? 0)} % of the cache of ${who} is dirty`;
    if (maxSourceLoad === undefined || load.cluster !== 'source') continue;
    const [busy, what] = busiest(load);
    const words = `${who} is ${Math.round(busy)} % busy (${what}), --max-source-load ${maxSourceLoad}`;
    if (busy > maxSourceLoad) slower ??= words;
    else if (busy > maxSourceLoad * NEAR) hold ??= words;
  }
  return { strain: { ...(slower ? { slower } : {}), ...(hold ? { hold } : {}) }, state: { lags, queued } };
}

function busiest({ processor = 0, tickets = 0 }: MemberLoad): [number, string] {
  return processor >= tickets ? [processor, 'processor'] : [tickets, 'tickets of the storage engine'];
}
