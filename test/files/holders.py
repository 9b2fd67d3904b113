"""Keeps files from being opened, as programs do that hold them alone or refuse them; `lease` and `deny` are the words.

lease FILE…   holds a write lease on each, through a descriptor that cannot be read; gives nothing up.
              A line `store FILE OFFSET` on its input writes there through that descriptor.
deny FILE…    says no to everybody who opens one of them, as a scanner for viruses does.
It says `ready` when it holds them, and ends with its input."""
import ctypes, fcntl, os, select, signal, struct, sys

how, files = sys.argv[1], [os.fsencode(each) for each in sys.argv[2:]]


def hold():
    signal.signal(signal.SIGIO, signal.SIG_IGN)
    held = {}
    for each in files:
        held[each] = os.open(each, os.O_WRONLY)
        fcntl.fcntl(held[each], fcntl.F_SETLEASE, fcntl.F_WRLCK)
    print('ready', flush=True)
    for line in sys.stdin:
        _, name, offset = line.split()
        os.pwrite(held[os.fsencode(name)], os.urandom(100), int(offset))
        print('stored', flush=True)


def deny():
    libc = ctypes.CDLL(None, use_errno=True)
    group = libc.fanotify_init(0x1 | 0x4, os.O_RDONLY | os.O_LARGEFILE)
    for each in files:
        mark = libc.fanotify_mark(group, 1, ctypes.c_uint64(0x10000), -100, each)
        if group < 0 or mark < 0:
            raise OSError(ctypes.get_errno(), 'fanotify')
    print('ready', flush=True)
    while True:
        readable, _, _ = select.select([group, sys.stdin], [], [])
        if sys.stdin in readable and not sys.stdin.readline():
            return
        if group not in readable:
            continue
        events = os.read(group, 4096)
        while events:
            length, = struct.unpack_from('I', events)
            fd, = struct.unpack_from('i', events, 16)
            os.write(group, struct.pack('iI', fd, 2))
            os.close(fd)
            events = events[length:]


{'lease': hold, 'deny': deny}[how]()
