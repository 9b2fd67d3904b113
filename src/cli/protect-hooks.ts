import type { ProtectEvent, ProtectHooks } from '../routes/protect/api.ts';
import { paintOf, printJson, printLines, type Session } from './session.ts';
import { protectEventLine } from './view/protect-text.ts';

/** Events are printed as they come, for people or for programs. */
export function hooksOf(session: Session, isJson: boolean): ProtectHooks {
  const paint = paintOf(session);
  const onEvent = (event: ProtectEvent) =>
    isJson ? printJson(session, event) : printLines(session, [protectEventLine(event, paint)]);
  return { signal: session.signal, onEvent };
}
