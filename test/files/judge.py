"""Compares two trees in every field, and computes the certificate of a tree. Shares no code with Godwit.

judge.py compare A B [--extents]   prints {"differences": [...], "entries": n} as JSON
judge.py certify ROOT              prints the hash of the tree (sha256-tree-1, see src/adapters/linux-files/DESIGN.md)
"""
import array
import fcntl
import hashlib
import json
import os
import stat
import sys

GETFLAGS = 0x80086601
# What chattr can set and a copy is to carry.
FLAGS = 0x1 | 0x2 | 0x4 | 0x8 | 0x10 | 0x20 | 0x40 | 0x80 | 0x400 | 0x8000 | 0x10000 | 0x20000 | 0x800000 | 0x20000000
BLOCK = 1 << 20
KINDS = {
    stat.S_IFDIR: "directory", stat.S_IFREG: "file", stat.S_IFLNK: "symlink", stat.S_IFIFO: "fifo",
    stat.S_IFCHR: "character", stat.S_IFBLK: "block", stat.S_IFSOCK: "socket",
}


class At:
    """A name in a directory, by descriptors: paths may be longer than the kernel takes."""

    def __init__(self, dir_fd, name):
        self.dir_fd, self.name = dir_fd, name
        self.st = os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
        self.kind = KINDS[stat.S_IFMT(self.st.st_mode)]

    def proc(self):
        return b"/proc/self/fd/%d/%s" % (self.dir_fd, self.name)

    def xattrs(self):
        path = self.proc()
        return sorted((os.fsencode(n), os.getxattr(path, n, follow_symlinks=False)) for n in os.listxattr(path, follow_symlinks=False))

    def flags(self):
        if self.kind not in ("file", "directory"):
            return 0
        fd = os.open(self.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=self.dir_fd)
        try:
            word = array.array("l", [0])
            fcntl.ioctl(fd, GETFLAGS, word, True)
            return word[0] & FLAGS
        except OSError:
            return 0
        finally:
            os.close(fd)


def extents(fd, size):
    found, at = [], 0
    while at < size:
        try:
            start = os.lseek(fd, at, os.SEEK_DATA)
        except OSError:
            break
        at = min(size, os.lseek(fd, start, os.SEEK_HOLE))
        found.append((start, at))
    return found


def content(at):
    """Hash and map of the data of a file."""
    fd = os.open(at.name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=at.dir_fd)
    try:
        size = at.st.st_size
        where = extents(fd, size)
        if size <= BLOCK:
            data = os.pread(fd, size, 0) if size else b""
            return hashlib.sha256(data).hexdigest(), where
        whole, zeros, index = hashlib.sha256(), hashlib.sha256(bytes(BLOCK)).digest(), 0
        for start in range(0, size, BLOCK):
            length = min(BLOCK, size - start)
            while index < len(where) and where[index][1] <= start:
                index += 1
            if length == BLOCK and (index == len(where) or where[index][0] >= start + length):
                whole.update(zeros)
            else:
                whole.update(hashlib.sha256(os.pread(fd, length, start)).digest())
        return whole.hexdigest(), where
    finally:
        os.close(fd)


def names(fd):
    # listdir of a descriptor gives text; surrogateescape brings the bytes back.
    return sorted(n for n in (os.fsencode(each) for each in os.listdir(fd)))


def escape(name):
    return "".join(chr(b) if 0x21 <= b <= 0x7E and b != 0x25 else "%%%02X" % b for b in name)


def fields(at, links, path, with_extents):
    """Everything about one name, as an ordered list of (field, value)."""
    st, kind = at.st, at.kind
    if kind != "directory" and st.st_nlink > 1:
        first = links.setdefault((st.st_dev, st.st_ino), path)
        if first != path:
            return [("type", "link"), ("to", "0:" + "/".join(escape(n) for n in first))]
    found = [("type", kind), ("mode", "%04o" % stat.S_IMODE(st.st_mode)), ("uid", str(st.st_uid)), ("gid", str(st.st_gid))]
    if kind == "file":
        digest, where = content(at)
        found += [("size", str(st.st_size)), ("content", digest)]
        if with_extents:
            found.append(("extents", str(where)))
    if kind in ("character", "block"):
        found.append(("device", "%d,%d" % (os.major(st.st_rdev), os.minor(st.st_rdev))))
    if kind == "symlink":
        found.append(("target", "".join(escape(p) for p in [os.readlink(at.name, dir_fd=at.dir_fd)])))
    found.append(("mtime", "%d.%09d" % divmod(st.st_mtime_ns, 10**9)))
    found.append(("flags", "%x" % at.flags()))
    for name, value in at.xattrs():
        found.append(("xattr:" + escape(name), hashlib.sha256(value).hexdigest()))
    return found


def walk(root, visit, with_extents=False):
    """Calls visit(path, fields, children) for each name, depth first; children gives the results of those below."""
    links = {}

    def one(dir_fd, name, path):
        at = At(dir_fd, name)
        if at.kind == "socket":
            return None
        here = fields(at, links, path, with_extents)
        below = []
        if at.kind == "directory":
            fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY, dir_fd=dir_fd)
            try:
                for child in names(fd):
                    if not path and child == b"lost+found":
                        continue
                    result = one(fd, child, path + (child,))
                    if result is not None:
                        below.append((child, result))
            finally:
                os.close(fd)
        return visit(path, here, below)

    fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return one(fd, b".", ())
    finally:
        os.close(fd)


def compare(a, b, with_extents):
    sides = []
    for root in (a, b):
        found = {}
        walk(root, lambda path, here, below: found.__setitem__(path, here) or True, with_extents)
        sides.append(found)
    left, right = sides
    differences = []
    for path in sorted(set(left) | set(right)):
        name = "/".join(escape(n) for n in path) or "."
        if path not in right:
            differences.append(name + " is missing")
        elif path not in left:
            differences.append(name + " is extra")
        elif left[path] != right[path]:
            x, y = dict(left[path]), dict(right[path])
            differences.append(name + ": " + ", ".join("%s %s != %s" % (k, x.get(k), y.get(k)) for k in sorted(set(x) | set(y)) if x.get(k) != y.get(k)))
    return {"differences": differences[:200], "count": len(differences), "entries": len(left)}


def certify(root):
    def visit(path, here, below):
        line = " ".join("%s=%s" % each for each in here)
        if dict(here)["type"] != "directory":
            return hashlib.sha256(line.encode()).hexdigest()
        text = line + "\n" + "".join("%s %s\n" % (escape(name), digest) for name, digest in below)
        return hashlib.sha256(text.encode()).hexdigest()

    return walk(root, visit)


sys.setrecursionlimit(100000)
if sys.argv[1] == "compare":
    print(json.dumps(compare(sys.argv[2], sys.argv[3], "--extents" in sys.argv)))
else:
    print(certify(sys.argv[2]))
