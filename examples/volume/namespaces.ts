/**
 * A network namespace for each site. The primary and the auxiliary have a cable between them; each of
 * the three has one to the far line, which is a namespace with nothing but a proxy in it. So nobody
 * reaches the DR, nor the DR anybody, but through that proxy; and nothing of it touches the network
 * of this machine.
 */
import { readdirSync } from 'node:fs';
import { installPackages } from '../../test/servers/debian-packages.ts';
import { runCommand } from '../../test/servers/run-command.ts';
import type { Troubles } from './far-link.ts';
import { LineProcess } from './line-process.ts';
import { isOver } from './runs.ts';
import { SITES, type Site, type Sites } from './sites.ts';

const FOLDER = '/run/netns';
const NAME = /^godwit-demo-(\d+)-/;
const LINE = 'line';
const PLACES = [...SITES, LINE] as const;
type Place = (typeof PLACES)[number];

/** Both ends of each cable: place, name of the interface, address. Of the ranges that are for documentation (RFC 5737). */
const CABLES: readonly (readonly [End, End])[] = [
  [
    ['primary', 'near', '198.51.100.1'],
    ['auxiliary', 'near', '198.51.100.2'],
  ],
  [
    ['primary', 'far', '203.0.113.1'],
    [LINE, 'primary', '203.0.113.2'],
  ],
  [
    ['auxiliary', 'far', '203.0.113.5'],
    [LINE, 'auxiliary', '203.0.113.6'],
  ],
  [
    ['dr', 'far', '203.0.113.9'],
    [LINE, 'dr', '203.0.113.10'],
  ],
];
type End = readonly [place: Place, name: string, address: string];

const PORTS = { auxiliary: 7401, dr: 7402 } as const;

export class NamespacedSites implements Sites {
  readonly network = 'namespaces';
  readonly listen = { auxiliary: `0.0.0.0:${PORTS.auxiliary}`, dr: `203.0.113.9:${PORTS.dr}` };
  readonly dial: Sites['dial'];
  readonly #line: LineProcess;

  private constructor(line: LineProcess, [toDr, toAuxiliary]: readonly number[]) {
    this.#line = line;
    this.dial = {
      primary: { auxiliary: `198.51.100.2:${PORTS.auxiliary}`, dr: `203.0.113.2:${toDr}` },
      dr: { auxiliary: `203.0.113.10:${toAuxiliary}` },
    };
  }

  /** Rejects where this machine does not allow it, and leaves nothing then. */
  static async make(roundTripMs: number): Promise<NamespacedSites> {
    await findIp();
    await removeNamespaces((pid) => pid === process.pid || isOver(pid));
    try {
      for (const place of PLACES) {
        await ip('netns', 'add', nameOf(place));
        await ip('-n', nameOf(place), 'link', 'set', 'lo', 'up');
      }
      for (const [one, other] of CABLES) {
        const end = ([place, name]: End) => ['name', name, 'netns', nameOf(place)];
        await ip('link', 'add', ...end(one), 'type', 'veth', 'peer', ...end(other));
        for (const [place, name, address] of [one, other]) {
          await ip('-n', nameOf(place), 'address', 'add', `${address}/30`, 'dev', name);
          await ip('-n', nameOf(place), 'link', 'set', name, 'up');
        }
      }
      const line = new LineProcess(within(LINE), roundTripMs);
      const ports = await line.open([
        { port: PORTS.dr, host: '203.0.113.9', listenHost: '203.0.113.2' },
        { port: PORTS.auxiliary, host: '203.0.113.5', listenHost: '203.0.113.10' },
      ]);
      return new NamespacedSites(line, ports);
    } catch (error) {
      await removeNamespaces((pid) => pid === process.pid);
      throw error;
    }
  }

  get troubles(): Readonly<Troubles> {
    return this.#line.troubles;
  }

  within(site: Site): readonly string[] {
    return within(site);
  }

  worsen(): void {
    this.#line.worsen();
  }

  cutOff(site: Site): Promise<void> {
    return this.#setLinks(site, 'down');
  }

  reconnect(site: Site): Promise<void> {
    return this.#setLinks(site, 'up');
  }

  async #setLinks(site: Site, to: 'up' | 'down'): Promise<void> {
    // The near cable last: what just got out to the far side shall have got to the near one, too.
    for (const [place, name] of CABLES.flat().reverse())
      if (place === site) await ip('-n', nameOf(site), 'link', 'set', name, to);
  }

  async close(): Promise<void> {
    await this.#line.close();
    await removeNamespaces((pid) => pid === process.pid);
  }
}

/** Removes the namespaces of those runs. Whatever still runs in one keeps it until it ends. */
export async function removeNamespaces(ofRun: (pid: number) => boolean): Promise<void> {
  // One that is gone was taken away by somebody else who saw it.
  for (const name of listNamespaces())
    if (ofRun(Number(NAME.exec(name)?.[1]))) await runCommand('ip', ['netns', 'delete', name]);
}

/** The names of all runs' namespaces. */
export function listNamespaces(): string[] {
  try {
    return readdirSync(FOLDER).filter((name) => NAME.test(name));
  } catch {
    return [];
  }
}

function nameOf(place: Place): string {
  return `godwit-demo-${process.pid}-${place}`;
}

/** By `nsenter` and not by `ip netns exec`: that gives other mounts, too. */
function within(place: Place): readonly string[] {
  return ['nsenter', `--net=${FOLDER}/${nameOf(place)}`];
}

async function ip(...words: readonly string[]): Promise<void> {
  const { code, stderr } = await runCommand('ip', words);
  if (code !== 0) throw new Error(`ip ${words.join(' ')}: ${stderr.trim()}`);
}

async function findIp(): Promise<void> {
  if ((await runCommand('ip', ['-V'])).code === 0) return;
  await installPackages(['iproute2']);
  await ip('-V');
}
