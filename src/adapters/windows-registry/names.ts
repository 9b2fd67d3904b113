/**
 * Names of keys and values. Windows compares them by their upper case, a
 * UTF-16 unit at a time, and stores them as Latin-1 where all units fit.
 */

/** What a name is compared by: see `upperCode`. */
export function upperName(name: string): string {
  if (!/[^ -~]/.test(name)) return name.toUpperCase();
  let upper = '';
  for (let at = 0; at < name.length; at += 1) upper += String.fromCharCode(upperCode(name.charCodeAt(at)));
  return upper;
}

/**
 * Windows' table maps one unit to one unit, and only where the mapping goes
 * back (µ, ı and ſ have no upper case there); ς is the exception. Scripts that
 * got cases after Windows' table was made are not told apart by version: no
 * name of the SYSTEM hive uses them.
 */
export function upperCode(code: number): number {
  if (code < 0x80) return code >= 0x61 && code <= 0x7a ? code - 32 : code;
  if (code === 0x3c2) return 0x3a3;
  if (code >= 0xd800 && code <= 0xdfff) return code;
  const char = String.fromCharCode(code);
  const upper = char.toUpperCase();
  return upper.length === 1 && upper.toLowerCase() === char ? upper.charCodeAt(0) : code;
}

export function sameName(a: string, b: string): boolean {
  return a === b || (a.length === b.length && upperName(a) === upperName(b));
}

/** The order of lists of subkeys: by the codes of upper-case units. */
export function compareUpper(a: string, b: string): number {
  // JavaScript compares strings by UTF-16 units, which is the order meant.
  return a < b ? -1 : a > b ? 1 : 0;
}

/** The hash of a hash leaf (`lh`): 37 × hash + unit, over the upper-case name, 32 bits. */
export function nameHash(upper: string): number {
  let hash = 0;
  for (let at = 0; at < upper.length; at += 1) hash = (Math.imul(hash, 37) + upper.charCodeAt(at)) >>> 0;
  return hash;
}

export function isLatin1(name: string): boolean {
  for (let at = 0; at < name.length; at += 1) if (name.charCodeAt(at) > 0xff) return false;
  return true;
}

/** The hint of a fast leaf (`lf`): up to four Latin-1 characters, nothing where one is wider. */
export function nameHint(name: string): number {
  const start = name.slice(0, 4);
  if (!isLatin1(start)) return 0;
  let hint = 0;
  for (let at = 0; at < start.length; at += 1) hint |= start.charCodeAt(at) << (8 * at);
  return hint >>> 0;
}
