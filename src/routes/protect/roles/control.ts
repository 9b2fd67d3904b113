/** What commands ask of a running role. */
import { askControl } from '../../../state/index.ts';
import type { RewindTo } from '../api.ts';

export interface ControlRequest {
  readonly ask: 'status' | 'promote' | 'failback' | 'grow' | 'verify' | 'rewind';
  readonly force?: boolean;
  /** With the consent of the living primary. */
  readonly planned?: boolean;
  /** Bytes that the volume shall have. */
  readonly size?: number;
  /** How long writers may wait for the switch, milliseconds. */
  readonly stallMs?: number;
  /** What differs is sent again. */
  readonly mend?: boolean;
  readonly to?: RewindTo;
  /** A file that is made. */
  readonly into?: string;
}

/** Asks the role that works with a state directory. @throws GodwitError GW1001 when none does; what the role threw */
export function askRole<T>(state: string, request: ControlRequest, signal: AbortSignal): Promise<T> {
  return askControl(state, 'role of protect', request, signal);
}
