import type { Rng } from '../torture/rng.ts';
import type { Peer } from './peer.ts';
import { option, text, u16, u32 } from './words.ts';

export interface Negotiated {
  readonly structured: boolean;
  readonly allocation: boolean;
}

const REFUSED = 2 ** 31;
const [ACK, SERVER, INFO, META] = [1, 2, 3, 4];
const [UNSUP, INVALID, UNKNOWN, TOO_BIG] = [REFUSED + 1, REFUSED + 3, REFUSED + 6, REFUSED + 9];
const POLICY = REFUSED + 2;

interface Try {
  readonly option: number;
  readonly data: Buffer;
  /** Final answers that are right. */
  readonly finals: readonly number[];
}

/** Sends an option and gives its answers before the final one; throws when an answer is not as it must be. */
async function ask(peer: Peer, each: Try): Promise<{ final: number; before: readonly (readonly [number, Buffer])[] }> {
  peer.send(option(each.option, each.data));
  const before: [number, Buffer][] = [];
  for (;;) {
    const head = await peer.read(20);
    if (head === undefined) throw new Error(`hung up on option ${each.option}`);
    if (head.readBigUInt64BE(0) !== 0x3e889045565a9n) throw new Error('an option reply without its magic');
    if (head.readUInt32BE(8) !== each.option)
      throw new Error(`option ${each.option} answered as ${head.readUInt32BE(8)}`);
    const type = head.readUInt32BE(12);
    const data = (await peer.read(head.readUInt32BE(16)))!;
    if (type === ACK || type >= REFUSED) {
      if (!each.finals.includes(type)) throw new Error(`option ${each.option} ended with ${type}: ${data}`);
      if (type === ACK && data.length > 0) throw new Error('an acknowledgement with data');
      return { final: type, before };
    }
    before.push([type, data]);
  }
}

function randomBytes(rng: Rng, length: number): Buffer {
  return Buffer.from(Array.from({ length }, () => rng.int(256)));
}

function goData(rng: Rng, name: string): Buffer {
  const wanted = rng.shuffled([0, 1, 2, 3, 77]).slice(0, rng.int(6));
  return Buffer.concat([text(name), u16(wanted.length), ...wanted.map(u16)]);
}

function metaData(name: string, queries: readonly string[]): Buffer {
  return Buffer.concat([text(name), u32(queries.length), ...queries.map(text)]);
}

/** An option that may stand anywhere before the last, right or wrong. */
function randomTry(rng: Rng, name: string, structured: boolean): Try {
  const data = rng.chance(0.5) ? Buffer.alloc(0) : randomBytes(rng, rng.between(1, 40));
  switch (rng.int(9)) {
    case 0: {
      const long = rng.chance(0.2);
      const bytes = long ? Buffer.alloc(rng.between(65_537, 200_000)) : data;
      return { option: rng.pick([0, 4, 11, 12, 999, 0xffffffff]), data: bytes, finals: [long ? TOO_BIG : UNSUP] };
    }
    case 1:
      return { option: 3, data, finals: [data.length > 0 ? INVALID : ACK] };
    case 2:
      return { option: 5, data, finals: [POLICY] };
    case 3:
      return { option: 6, data: goData(rng, rng.chance(0.5) ? name : 'nobody'), finals: [ACK, UNKNOWN] };
    case 4:
      // Lengths that do not fit.
      return {
        option: rng.pick([6, 7]),
        data: Buffer.concat([u32(rng.between(100, 2 ** 31)), data]),
        finals: [INVALID],
      };
    case 5:
      return { option: rng.pick([9, 10]), data: Buffer.concat([u32(2 ** 30), data]), finals: [INVALID] };
    case 6: {
      const queries = rng
        .shuffled(['base:', 'base:allocation', 'base:other', 'qemu:dirty-bitmap:x'])
        .slice(0, rng.int(5));
      return { option: 9, data: metaData(name, queries), finals: [structured ? ACK : INVALID] };
    }
    case 7:
      return { option: 7, data: goData(rng, `${name}${rng.int(10)}x`), finals: [UNKNOWN] };
    default:
      return { option: 10, data: metaData('nobody', ['base:allocation']), finals: [structured ? UNKNOWN : INVALID] };
  }
}

/** Negotiates as chance wants; undefined when it chose to end before the transmission. Throws when the server is wrong. */
export async function negotiate(peer: Peer, rng: Rng, name: string, size: number): Promise<Negotiated | undefined> {
  const greeting = await peer.read(18);
  if (greeting?.toString('latin1', 0, 16) !== 'NBDMAGICIHAVEOPT') throw new Error('no greeting');
  if (rng.chance(0.02)) {
    peer.send(u32(rng.pick([4, 0x80000000, 7]))); // flags that are not known
    if ((await peer.untilClosed()) > 0) throw new Error('an answer to unknown client flags');
    return undefined;
  }
  const noZeroes = rng.chance(0.7);
  peer.send(u32(noZeroes ? 3 : 1));
  let structured = false;
  let allocation = false;
  for (let i = rng.int(4); i > 0; i--) {
    const each = randomTry(rng, name, structured);
    if (each.option === 10) allocation = false; // also when it fails
    const { before } = await ask(peer, each);
    for (const [type] of before) if (![SERVER, INFO, META].includes(type)) throw new Error(`an answer of type ${type}`);
  }
  if (rng.chance(0.03)) {
    if (rng.chance(0.3)) await ask(peer, { option: 2, data: Buffer.alloc(rng.int(3)), finals: [ACK] });
    else if (rng.chance(0.5)) peer.send(option(1, Buffer.from('nobody')));
    else peer.send(Buffer.concat([Buffer.from([rng.int(0x48)]), randomBytes(rng, 60)])); // not IHAVEOPT
    if ((await peer.untilClosed()) > 0) throw new Error('bytes after the end of a handshake');
    return undefined;
  }
  if (rng.chance(0.7)) {
    await ask(peer, { option: 8, data: Buffer.alloc(0), finals: [ACK] });
    structured = true;
    if (rng.chance(0.7)) {
      const { before } = await ask(peer, { option: 10, data: metaData(name, ['base:allocation']), finals: [ACK] });
      if (before.length !== 1 || before[0]![1].toString('latin1', 4) !== 'base:allocation')
        throw new Error('no context');
      allocation = true;
    }
  }
  if (rng.chance(0.3)) {
    peer.send(option(1, Buffer.from(name)));
    const reply = await peer.read(noZeroes ? 10 : 134);
    if (reply === undefined || reply.readBigUInt64BE(0) !== BigInt(size)) throw new Error('not the size of the export');
  } else {
    const { before } = await ask(peer, { option: 7, data: goData(rng, name), finals: [ACK] });
    const info = before.find(([type, data]) => type === INFO && data.readUInt16BE(0) === 0)?.[1];
    if (info?.readBigUInt64BE(2) !== BigInt(size)) throw new Error('not the size of the export');
  }
  return { structured, allocation };
}
