"""Carries out operations on files, each line of standard input a list of them as JSON: [[name, a, b, n], ...].

What cannot be done is left out. Answers each line with how many were done.
"""
import ctypes
import fcntl
import json
import mmap
import os
import random
import shutil
import stat
import sys

libc = ctypes.CDLL(None)
os.chdir(sys.argv[1])
NAMES = [b"a", b"b", b"dir", b"\xff\xfe", "é".encode(), b"new\nline", b"x" * 255, b" "]


def path(number):
    """A path of one to three names."""
    parts = [NAMES[number % 8]]
    if number // 8 % 3 > 0:
        parts.insert(0, NAMES[number // 24 % 8])
    if number // 8 % 3 > 1:
        parts.insert(0, NAMES[number // 192 % 8])
    return b"/".join(parts)


def data(n):
    return random.Random(n).randbytes(n % 5000 if n % 3 else n % 400_000)


def remove(p):
    if os.path.isdir(p) and not os.path.islink(p):
        shutil.rmtree(p)
    else:
        os.unlink(p)


def needs_file(p):
    """Opening a FIFO waits for ever, and a device node may be a disk of this machine."""
    if os.path.exists(p) and not stat.S_ISREG(os.stat(p).st_mode):
        raise OSError("no file")


def write(p, q, n):
    needs_file(p)
    os.makedirs(os.path.dirname(p) or b".", exist_ok=True)
    with open(p, "wb") as f:
        f.write(data(n))


def part(p, q, n):
    needs_file(p)
    with open(p, "r+b") as f:
        f.seek(n % 500_000)
        f.write(data(n % 9000 + 1))


def sparse(p, q, n):
    needs_file(p)
    with open(p, "ab") as f:
        f.truncate(f.tell() + n % 50_000_000)
        f.seek(0, 2)
        f.write(b"end")


def punch(p, q, n):
    needs_file(p)
    fd = os.open(p, os.O_RDWR)
    libc.fallocate(fd, 3, ctypes.c_long(n % 300_000), ctypes.c_long(1 + n % 100_000))
    os.close(fd)


def exchange(p, q, n):
    libc.renameat2(-100, p, -100, q, 2)


MAPPED = []


def store(p, q, n):
    """Stores into a mapping that stays open; nothing is written or closed afterwards."""
    if n % 3 and MAPPED:
        memory = MAPPED[n % len(MAPPED)]
    else:
        needs_file(p)
        fd = os.open(p, os.O_RDWR)
        try:
            memory = mmap.mmap(fd, 0)
        finally:
            os.close(fd)
        MAPPED.append(memory)
        del MAPPED[:-8]
    at = n % len(memory)
    # Beyond the end of a file that was cut off meanwhile a store would kill this process.
    if at // 4096 >= -(-memory.size() // 4096):
        raise OSError("cut off")
    memory[at] = n % 251


FIXED = []


def fixed(name, path, at, value):
    """Maps a file that is named, or stores into what was mapped so."""
    if name == "map":
        with open(path, "r+b") as f:
            FIXED[:] = [mmap.mmap(f.fileno(), 0)]
    else:
        FIXED[0][at] = value


def direct(p, q, n):
    needs_file(p)
    fd = os.open(p, os.O_RDWR | os.O_DIRECT)
    try:
        page = mmap.mmap(-1, 4096)
        page.write(data(n)[:4096].ljust(4096, b"d"))
        os.pwrite(fd, page, n % 100 * 4096)
    finally:
        os.close(fd)


def copied(p, q, n):
    needs_file(p)
    needs_file(q)
    a, b = os.open(p, os.O_RDONLY), os.open(q, os.O_RDWR)
    try:
        if n % 2:
            os.copy_file_range(a, b, n % 100_000, 0, n % 50_000)
        else:
            fcntl.ioctl(b, 0x40049409, a)
    finally:
        os.close(a)
        os.close(b)


def allocated(p, q, n):
    needs_file(p)
    fd = os.open(p, os.O_RDWR)
    try:
        os.posix_fallocate(fd, n % 100_000, n % 300_000 + 1)
    finally:
        os.close(fd)


def burst(p, q, n):
    """More events than a small queue, and more dirty pages than a small ring, hold."""
    os.makedirs(b"burst", exist_ok=True)
    for i in range(300):
        with open(b"burst/%d" % (i % 97), "ab") as f:
            f.write(b"b" * (n % 9000))
        if i % 3 == 0:
            os.rename(b"burst/%d" % (i % 97), b"burst/%d" % ((i + n) % 97))


OPERATIONS = {
    "write": write,
    "part": part,
    "sparse": sparse,
    "punch": punch,
    "exchange": exchange,
    "store": store,
    "direct": direct,
    "copied": copied,
    "allocated": allocated,
    "burst": burst,
    "truncate": lambda p, q, n: needs_file(p) or os.truncate(p, n % 200_000),
    "mkdir": lambda p, q, n: os.makedirs(p),
    "link": lambda p, q, n: os.link(p, q, follow_symlinks=False),
    "symlink": lambda p, q, n: os.symlink(p, q),
    "fifo": lambda p, q, n: os.mkfifo(p),
    "device": lambda p, q, n: os.mknod(p, 0o060600, os.makedev(n % 4000, n % 100_000)),
    "rename": lambda p, q, n: os.rename(p, q),
    "remove": lambda p, q, n: remove(p),
    "mode": lambda p, q, n: os.path.islink(p) or os.chmod(p, n % 0o10000),
    "owner": lambda p, q, n: os.chown(p, n % 70_000, n % 65_000, follow_symlinks=False),
    "times": lambda p, q, n: os.utime(p, ns=(n, n * 1_234_567), follow_symlinks=False),
    "xattr": lambda p, q, n: os.setxattr(p, b"trusted.k%d" % (n % 4), data(n % 900), follow_symlinks=False),
    "unxattr": lambda p, q, n: os.removexattr(p, b"trusted.k%d" % (n % 4), follow_symlinks=False),
}

for line in sys.stdin:
    done = 0
    for name, a, b, n in json.loads(line):
        if name == "map" or name == "set":
            fixed(name, a, b, n)
            continue
        try:
            OPERATIONS[name](path(a), path(b), n)
            done += 1
        except (OSError, ValueError):
            pass
    print(done, flush=True)
