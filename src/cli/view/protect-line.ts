/** The status of a role of `protect` as one line, for logs. Pure. */
import { count, dataSize, printable, timeSpan } from '../../routes/migrate/report/format.ts';
import type { RoleStatus } from '../../routes/protect/api.ts';
import type { Paces } from './protect-paces.ts';

/** `key` changes when something happened that has to be told at once. */
export function protectLine(
  status: RoleStatus | undefined,
  paces: Paces,
): { readonly key: string; readonly line: string } {
  if (status === undefined) return { key: 'none', line: 'no role works with this directory now' };
  const name = `${printable(status.volume)} ${status.role}`;
  const rate = paces.rate('operations');
  const speed = rate === undefined ? '' : `, ${count(rate)} operations/s`;
  switch (status.role) {
    case 'primary': {
      const { phase, mode, dataLag, orderLag, ringFill, resyncBytes } = status;
      const parts = [
        `${name} ${phase}, mode ${mode ?? 'not known yet'}${speed}`,
        `order lag ${count(orderLag)}`,
        `data lag ${dataSize(dataLag.bytes)}, ${timeSpan(dataLag.seconds)}`,
        `ring ${(ringFill * 100).toFixed(0)} %`,
        ...(resyncBytes > 0 ? [`${dataSize(resyncBytes)} to send again`] : []),
      ];
      return { key: `${phase} ${mode}`, line: parts.join(', ') };
    }
    case 'auxiliary':
      return {
        key: name,
        line: `${name}, holds ${count(status.last - status.base)} operations, ring ${(status.ringFill * 100).toFixed(0)} %${speed}`,
      };
    case 'dr': {
      const { phase, stale, bringUp, failback, last, base } = status;
      const parts = [
        `${name} ${phase}${stale ? ', has missed operations' : ''}${speed}`,
        `order up to ${count(last)}, image as of ${count(base)}`,
        ...(bringUp ? [`${count(bringUp.operations)} operations pending`] : []),
        ...(failback ? [`failback ${failback.step}, ${dataSize(failback.remainingBytes)} to send`] : []),
      ];
      return { key: `${phase} ${stale} ${failback?.step}`, line: parts.join(', ') };
    }
  }
}
