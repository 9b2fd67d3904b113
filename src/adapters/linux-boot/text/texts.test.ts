import { expect, test } from 'vitest';
import { rewriteCrypttab } from './crypttab.ts';
import { ifupdownNames } from './ifupdown.ts';
import { rewriteGrubDefaults, rewriteResume, withModules } from './kernel-words.ts';
import { firstEntry } from './menu.ts';
import { netplanCards, rewriteNetplan } from './netplan.ts';
import { distributionOf } from './os-release.ts';
import { networkdCards, networkManagerCards, plainMac, rewriteMatches } from './sections.ts';

const MACS = new Map([['52:54:00:00:00:01', '52:54:00:aa:bb:cc']]);

test('crypttab: containers by the UUID of the target, others off, files of the system as they are', () => {
  const text =
    '# c\nroot_crypt /dev/sda3 none luks\nold UUID=1 none luks\nswap /dev/sda2 /dev/urandom swap\nbox /srv/box.img none luks\n';
  const { text: after } = rewriteCrypttab(text, [
    { name: 'root_crypt', uuid: 'u-1' },
    { name: 'new', uuid: 'u-2' },
  ]);
  expect(after).toBe(
    '# c\nroot_crypt UUID=u-1 none luks\n' +
      '# godwit relocate: not on this machine: old UUID=1 none luks\n' +
      '# godwit relocate: not on this machine: swap /dev/sda2 /dev/urandom swap\n' +
      'box /srv/box.img none luks\nnew UUID=u-2 none luks,discard\n',
  );
  expect(
    rewriteCrypttab(after, [
      { name: 'root_crypt', uuid: 'u-1' },
      { name: 'new', uuid: 'u-2' },
    ]).notes,
  ).toEqual([]);
});

test('settings of GRUB lose the names of old disks, and nothing else', () => {
  const text =
    'GRUB_DEFAULT=0\nGRUB_CMDLINE_LINUX_DEFAULT="quiet resume=/dev/sda5 splash"\nGRUB_CMDLINE_LINUX="root=/dev/sda1 net.ifnames=0 resume_offset=38912"\nGRUB_FORCE_PARTUUID=ab-01\n# resume=/dev/x\n';
  expect(rewriteGrubDefaults(text, 'sw').text).toBe(
    'GRUB_DEFAULT=0\nGRUB_CMDLINE_LINUX_DEFAULT="quiet resume=UUID=sw splash"\nGRUB_CMDLINE_LINUX="net.ifnames=0 "\n# godwit relocate: not on this machine: GRUB_FORCE_PARTUUID=ab-01\n# resume=/dev/x\n',
  );
  const none = rewriteGrubDefaults(text, undefined).text;
  expect(none).toContain('GRUB_CMDLINE_LINUX_DEFAULT="quiet splash"\n');
  expect(rewriteGrubDefaults(none, undefined)).toEqual({ text: none, notes: [] });
});

test('resume of the initramfs', () => {
  expect(rewriteResume('RESUME=UUID=old\n', 'sw').text).toBe('RESUME=UUID=sw\n');
  expect(rewriteResume('# a\nRESUME="/dev/sda5"\n', undefined).text).toBe('# a\nRESUME=none\n');
  expect(rewriteResume('RESUME=none\n', 'sw')).toEqual({ text: 'RESUME=none\n', notes: [] });
});

test('the list of modules has one block of ours, which is replaced', () => {
  const once = withModules('# user\nmymod', ['ahci', 'sd_mod']).text;
  expect(once).toBe(
    '# user\nmymod\n# godwit relocate: drivers of this machine\nahci\nsd_mod\n# godwit relocate: end\n',
  );
  expect(withModules(once, ['ahci', 'sd_mod'])).toEqual({ text: once, notes: [] });
  expect(withModules(`${once}later\n`, ['nvme']).text).toBe(
    '# user\nmymod\n# godwit relocate: drivers of this machine\nnvme\n# godwit relocate: end\nlater\n',
  );
});

test('ifupdown: cards, and not what is made of them', () => {
  expect(
    ifupdownNames(
      'source /etc/network/interfaces.d/*\nauto lo\niface lo inet loopback\n# iface no inet dhcp\nallow-hotplug ens3\niface ens3 inet static\n  address 10.0.0.1/24\niface ens3 inet6 auto\niface ens3:1 inet static\nauto br0\niface br0 inet dhcp\n bridge_ports ens4 \\\n ens5\niface eth9.20 inet manual\niface bond0 inet manual\n bond-slaves none\n bond-mode 1\niface en* inet dhcp\n',
    ),
  ).toEqual(['ens3', 'ens4', 'ens5', 'eth9']);
});

test('systemd-networkd and NetworkManager: cards by name or address, and the new address', () => {
  expect(networkdCards('[Match]\nName=ens3 ens4\n[Network]\nDHCP=yes\n')).toEqual([{ name: 'ens3' }, { name: 'ens4' }]);
  expect(networkdCards('[Match]\nName=en*\n')).toEqual([]);
  const text =
    '# c\n[Match]\nMACAddress=52:54:00:00:00:01\nDriver=virtio_net\n\n[Network]\nAddress=10.0.0.1/24\n[Link]\nMACAddress=52:54:00:00:00:01\n';
  expect(networkdCards(text)).toEqual([{ mac: '52:54:00:00:00:01' }]);
  const { text: after } = rewriteMatches(text, MACS);
  expect(after).toBe(
    '# c\n[Match]\nMACAddress=52:54:00:aa:bb:cc\n\n[Network]\nAddress=10.0.0.1/24\n[Link]\nMACAddress=52:54:00:00:00:01\n',
  );
  expect(rewriteMatches('[Match]\nName=x\nDriver=y\n', MACS).notes).toEqual([]);
  const keyfile = '[connection]\ntype=ethernet\ninterface-name=ens3\n\n[ethernet]\nmac-address=52:54:00:00:00:01\n';
  expect(networkManagerCards(keyfile)).toEqual([{ mac: '52:54:00:00:00:01' }]);
  expect(rewriteMatches(keyfile, MACS).text).toContain('mac-address=52:54:00:aa:bb:cc\n');
  expect(networkManagerCards('[connection]\ntype=wifi\ninterface-name=wlan0\n')).toEqual([]);
});

test('netplan: only the address changes; comments, order and quotes of the rest stay', () => {
  const text = `# cloud\nnetwork:\n  version: 2\n  ethernets:\n    ens3:   # the first\n      match: {macaddress: '52:54:00:00:00:01'}\n      set-name: ens3\n      addresses: [ "10.0.0.1/24" ]\n    ens4: {dhcp4: true}\n    any: {match: {name: "en*"}}\n`;
  expect(netplanCards(text)).toEqual([{ mac: '52:54:00:00:00:01' }, { name: 'ens4' }]);
  const { text: after } = rewriteNetplan(text, MACS);
  expect(after).toBe(text.replace("'52:54:00:00:00:01'", '"52:54:00:aa:bb:cc"'));
  expect(rewriteNetplan(after, MACS)).toEqual({ text: after, notes: [] });
  expect(netplanCards('')).toEqual([]);
});

test('distributions by name', () => {
  expect(distributionOf('ID=debian\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n')).toEqual({
    id: 'debian',
    name: 'Debian GNU/Linux 12 (bookworm)',
    isKnown: true,
  });
  expect(distributionOf("NAME='Fedora Linux'\nID=fedora\n").isKnown).toBe(false);
  expect(distributionOf('').name).toBe('unknown');
});

test('addresses of cards', () => {
  expect(plainMac('52-54-00-AA-BB-CC')).toBe('52:54:00:aa:bb:cc');
  expect(plainMac('52:54:00')).toBeUndefined();
});

test('of a menu the first entry that starts a Linux, without what only GRUB knows', () => {
  const entry = (kernel: string) => `menuentry 'A' --class os $menuentry_id_option 'x' {
\tif [ x$grub_platform = xxen ]; then insmod xzio; fi
\techo\t'Loading Linux ...'
\tlinux\t${kernel} root=UUID=u-1 ro  quiet $vt_handoff
\tinitrd\t/boot/initrd.img-6.1
}
`;
  const first = {
    kernel: '/boot/vmlinuz-6.1',
    initramfs: ['/boot/initrd.img-6.1'],
    words: ['root=UUID=u-1', 'ro', 'quiet'],
  };
  const menu = `set timeout=5\n${entry('/boot/vmlinuz-6.1')}submenu 'more' {\n${entry('/boot/vmlinuz-5.10')}}\n`;
  expect(firstEntry(menu)).toEqual(first);
  expect(firstEntry(`menuentry 'bare' {\n  linux /vmlinuz\n}\n`)).toEqual({
    kernel: '/vmlinuz',
    initramfs: [],
    words: [],
  });
  expect(firstEntry("menuentry 'memtest' {\n  multiboot /memtest\n}\n")).toBeUndefined();
  expect(firstEntry('')).toBeUndefined();
});
