/** /etc/fstab for other disks: identifiers in place of device names, and nothing in it that would hold up the boot. */
import type { Rewritten, TargetDisks, TargetFilesystem } from '../target.ts';
import { rewriteEntries, turnedOff, withLine } from './lines.ts';

/** Space before it, and six fields, of which the last two may be missing, with what separates them. */
const ENTRY = /^(\s*)(\S+)(\s+)(\S+)(\s+)(\S+)(?:(\s+)(\S+))?([^\n]*\n?)$/;
/** What names a device of this machine, and would be waited for. */
const DEVICE = /^(?:\/dev\/|UUID=|LABEL=|PARTUUID=|PARTLABEL=|ID=|"|\/dev$)/;
/** In memory, made anew at each boot. */
const VIRTUAL = /^\/dev\/(?:zram|shm|mqueue|hugepages|pts|loop)/;
/** Options that every file system understands, or systemd reads; those of one kind would keep another from being mounted. */
const COMMON =
  /^(?:defaults|rw|ro|(?:no|rel|strict|lazy)?atime|(?:no)?(?:auto|user|users|owner|group|exec|suid|dev|fail|diratime|lazytime|iversion|mand)|nofail|relatime|strictatime|lazytime|sync|async|dirsync|remount|_netdev|discard|comment=.*|x-.*)$/;

export function rewriteFstab(text: string, disks: TargetDisks): Rewritten {
  const notes: string[] = [];
  const swaps = [...disks.swaps];
  const seen = new Set<string>();
  let result = rewriteEntries(text, ENTRY, (fields, line) => {
    const [, space = '', spec = '', gap1 = '', field = '', gap2 = '', type = '', gap3 = '', options = '', rest = ''] =
      fields;
    const put = (newSpec: string, newType: string, newOptions: string) => {
      const tail = gap3 === '' ? (newOptions === '' ? '' : `\t${newOptions}`) : `${gap3}${newOptions}`;
      return `${space}${newSpec}${gap1}${field}${gap2}${newType}${tail}${rest}`;
    };
    const mountPoint = plainPath(field);
    const words = options.split(',');
    if (type === 'swap') {
      const swap = swapLine(spec, swaps);
      if (swap === undefined) {
        notes.push(`swap ${spec}: off, the target has no such area`);
        return turnedOff(line);
      }
      if (swap !== spec) notes.push(`swap ${spec}: ${swap}`);
      return put(swap, type, options);
    }
    const target = disks.filesystems.find((one) => one.mountPoint === mountPoint);
    if (target !== undefined && !words.includes('bind') && !words.includes('rbind')) {
      if (seen.has(mountPoint)) {
        notes.push(`${mountPoint}: its second line is off`);
        return turnedOff(line);
      }
      seen.add(mountPoint);
      const wanted = `UUID=${target.uuid}`;
      const newType = type === 'auto' || type.split(',').includes(target.type) ? type : target.type;
      const newOptions = optionsFor(target, options, newType === type);
      const isSame = unquoted(spec).toLowerCase() === wanted.toLowerCase();
      if (!isSame) notes.push(`${mountPoint}: ${wanted} in place of ${spec}`);
      if (newType !== type) notes.push(`${mountPoint}: ${newType} in place of ${type}`);
      if (newOptions !== options) notes.push(`${mountPoint}: options ${newOptions} in place of ${options}`);
      return put(isSame ? spec : wanted, newType, newOptions);
    }
    const waits = DEVICE.test(spec) && !VIRTUAL.test(spec) && !words.includes('noauto') && !words.includes('nofail');
    if (!waits || words.includes('bind') || words.includes('rbind')) return line;
    notes.push(`${mountPoint}: ${spec} is off, nothing of the target is mounted there`);
    return turnedOff(line);
  });
  for (const one of disks.filesystems) {
    if (seen.has(one.mountPoint)) continue;
    const pass = one.mountPoint === '/' ? 1 : 2;
    const options = one.type === 'vfat' ? 'umask=0077' : optionsFor(one, 'defaults', true);
    notes.push(`${one.mountPoint}: a line more, UUID=${one.uuid}`);
    result = withLine(result, `UUID=${one.uuid} ${fieldOf(one.mountPoint)} ${one.type} ${options} 0 ${pass}`);
  }
  return { text: result, notes };
}

/** Undefined: what it names is not there. */
function swapLine(spec: string, swaps: string[]): string | undefined {
  if (!DEVICE.test(spec) || VIRTUAL.test(spec)) return spec;
  const own = swaps.findIndex((uuid) => unquoted(spec).toLowerCase() === `uuid=${uuid}`.toLowerCase());
  if (own >= 0) {
    swaps.splice(own, 1);
    return spec;
  }
  const next = swaps.shift();
  return next === undefined ? undefined : `UUID=${next}`;
}

function optionsFor(target: TargetFilesystem, options: string, isSameType: boolean): string {
  let words = options === '' ? [] : options.split(',');
  if (!isSameType) words = words.filter((word) => COMMON.test(word));
  if (target.type === 'btrfs') {
    const has = words.findIndex((word) => word.startsWith('subvol='));
    const wanted = target.subvolume ? `subvol=${target.subvolume}` : undefined;
    const same = has >= 0 && (words[has] ?? '').replace(/^subvol=\/*/, '') === (target.subvolume ?? '');
    if (!same) {
      words = words.filter((word) => !/^subvol(?:id)?=/.test(word));
      if (wanted !== undefined) words.push(wanted);
    }
  }
  const joined = words.join(',');
  return joined === '' && options !== '' ? 'defaults' : joined;
}

/** Mount points hold spaces as \040. */
function plainPath(field: string): string {
  const path = field.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
  return path.length > 1 ? path.replace(/\/+$/, '') || '/' : path;
}

function fieldOf(path: string): string {
  return path.replace(/[ \t\n\\]/g, (char) => `\\${char.charCodeAt(0).toString(8).padStart(3, '0')}`);
}

function unquoted(spec: string): string {
  return spec.replace(/"/g, '');
}
