/**
 * Services that belong to a hypervisor's tools. On other hardware they fail,
 * wait or filter devices that are not there, so those of the source are
 * switched off. The first two rows are what virt-v2v switches off
 * (convert_windows.ml: disable_xenpv_win_drivers, disable_prl_drivers); the
 * others are the names that the vendors' installers use. Hyper-V's are part of
 * Windows and find out by themselves.
 */
export const TOOL_SERVICES: Readonly<Record<string, readonly string[]>> = {
  Xen: ['rhelscsi', 'xenbus', 'xenfilt', 'xenvbd', 'xenvif', 'xennet', 'xeniface', 'xenagent', 'xenlite', 'xensvc'],
  Parallels: [
    'prl_boot',
    'prl_dd',
    'prl_eth5',
    'prl_fs',
    'prl_memdev',
    'prl_mouf',
    'prl_pv32',
    'prl_pv64',
    'prl_scsi',
    'prl_sound',
    'prl_strg',
    'prl_tg',
    'prl_time',
    'prl_uprof',
    'prl_va',
  ],
  VMware: [
    'VMTools',
    'vmvss',
    'VGAuthService',
    'vm3dservice',
    'vm3dmp',
    'vm3dmp_loader',
    'vmci',
    'vsock',
    'vsockSys',
    'vmhgfs',
    'VMMemCtl',
    'vmmouse',
    'vmusbmouse',
    'vmrawdsk',
    'vnetWFP',
    'vsepflt',
    'giappdef',
  ],
  VirtualBox: ['VBoxService', 'VBoxGuest', 'VBoxMouse', 'VBoxSF', 'VBoxVideo', 'VBoxWddm'],
  QEMU: ['QEMU-GA', 'spice-agent', 'vdservice', 'BalloonService'],
};
