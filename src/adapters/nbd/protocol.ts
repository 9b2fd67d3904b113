/**
 * The numbers of the NBD protocol. Sections named in this folder are those of
 * `doc/proto.md` in the repository NetworkBlockDevice/nbd; all numbers on the
 * wire are big-endian.
 */

/** Handshake, "Newstyle negotiation". */
export const NBDMAGIC = 0x4e42444d41474943n;
export const IHAVEOPT = 0x49484156454f5054n;
export const OPTION_REPLY_MAGIC = 0x0003e889045565a9n;

/** "Request message", "Simple reply message", "Structured reply chunk message". */
export const REQUEST_MAGIC = 0x25609513;
export const SIMPLE_REPLY_MAGIC = 0x67446698;
export const STRUCTURED_REPLY_MAGIC = 0x668e33ef;

export const REQUEST_BYTES = 28;
export const SIMPLE_REPLY_BYTES = 16;
export const CHUNK_HEADER_BYTES = 20;
/** The offset that stands before the bytes of a data chunk. */
export const CHUNK_OFFSET_BYTES = 8;
export const OPTION_HEADER_BYTES = 16;
export const OPTION_REPLY_HEADER_BYTES = 20;

/** "Handshake flags" and "Client flags": the same bits both ways. */
export const HANDSHAKE = { fixedNewstyle: 1, noZeroes: 2 } as const;

/** "Transmission flags". */
export const EXPORT_FLAG = {
  hasFlags: 1 << 0,
  readOnly: 1 << 1,
  flush: 1 << 2,
  fua: 1 << 3,
  trim: 1 << 5,
  writeZeroes: 1 << 6,
  dontFragment: 1 << 7,
  multiConn: 1 << 8,
  fastZero: 1 << 11,
} as const;

/** "Option types". */
export const OPTION = {
  exportName: 1,
  abort: 2,
  list: 3,
  startTls: 5,
  info: 6,
  go: 7,
  structuredReply: 8,
  listMetaContext: 9,
  setMetaContext: 10,
} as const;

const REFUSED = 2 ** 31;

/** "Option reply types". */
export const REPLY = {
  ack: 1,
  server: 2,
  info: 3,
  metaContext: 4,
  unsupported: REFUSED + 1,
  policy: REFUSED + 2,
  invalid: REFUSED + 3,
  tlsRequired: REFUSED + 5,
  unknown: REFUSED + 6,
  shutdown: REFUSED + 7,
  blockSizeRequired: REFUSED + 8,
  tooBig: REFUSED + 9,
} as const;

/** Information types of `NBD_REP_INFO`. */
export const INFO = { export: 0, name: 1, description: 2, blockSize: 3 } as const;

/** "Request types". */
export const COMMAND = {
  read: 0,
  write: 1,
  disconnect: 2,
  flush: 3,
  trim: 4,
  cache: 5,
  writeZeroes: 6,
  blockStatus: 7,
} as const;

/** "Command flags". */
export const COMMAND_FLAG = { fua: 1, noHole: 2, dontFragment: 4, reqOne: 8, fastZero: 16 } as const;

/** "Structured reply flags" and "Structured reply types". */
export const CHUNK_DONE = 1;
export const CHUNK = {
  none: 0,
  data: 1,
  hole: 2,
  blockStatus: 5,
  error: 2 ** 15 + 1,
  errorOffset: 2 ** 15 + 2,
} as const;

/** "Error values". */
export const ERRNO = {
  EPERM: 1,
  EIO: 5,
  ENOMEM: 12,
  EINVAL: 22,
  ENOSPC: 28,
  EOVERFLOW: 75,
  ENOTSUP: 95,
  ESHUTDOWN: 108,
} as const;

/** "The `base:` metadata namespace". */
export const ALLOCATION_CONTEXT = 'base:allocation';
export const STATE = { hole: 1, zero: 2 } as const;

/** "Conventions": no string is longer. */
export const LONGEST_STRING = 4096;
/** "Size constraints": what every server should take, advertised or not. */
export const USUAL_PAYLOAD = 32 << 20;
/** `NBD_REPLY_TYPE_BLOCK_STATUS`: no more descriptors in one chunk. */
export const MOST_DESCRIPTORS = 1 << 20;

/** TLS by a key that both sides have, with a fresh exchange for each connection. */
export const KEYED = { ciphers: 'ECDHE-PSK-CHACHA20-POLY1305', maxVersion: 'TLSv1.2' } as const;
