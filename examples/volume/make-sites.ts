import { pickFreePort } from '../../test/servers/ports.ts';
import { FarLink } from './far-link.ts';
import { NamespacedSites } from './namespaces.ts';
import type { Sites } from './sites.ts';

/** A network namespace for each site; where this machine gives none, all of them on loopback, and why. */
export async function makeSites(roundTripMs: number): Promise<{ readonly sites: Sites; readonly why?: string }> {
  try {
    return { sites: await NamespacedSites.make(roundTripMs) };
  } catch (error) {
    return { sites: await loopbackSites(roundTripMs), why: (error as Error).message };
  }
}

async function loopbackSites(roundTripMs: number): Promise<Sites> {
  const far = new FarLink(roundTripMs);
  const [near, dr] = [await pickFreePort(), await pickFreePort()];
  const at = (port: number) => `127.0.0.1:${port}`;
  return {
    network: 'loopback',
    listen: { auxiliary: at(near), dr: at(dr) },
    dial: { primary: { auxiliary: at(near), dr: at(await far.to(dr)) }, dr: { auxiliary: at(await far.to(near)) } },
    within: () => [],
    worsen: () => far.worsen(),
    troubles: far.troubles,
    // A killed process is all that can be shown here.
    cutOff: () => Promise.resolve(),
    reconnect: () => Promise.resolve(),
    close: () => far.close(),
  };
}
