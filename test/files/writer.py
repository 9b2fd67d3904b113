"""Writes into `root`/busy all the time, also through a mapping, until it is killed: nobody asks it to stop."""
import mmap, os, sys, time

root = os.fsencode(sys.argv[1])
path = os.path.join(root, b'busy')
fd = os.open(path, os.O_RDWR | os.O_CREAT)
os.ftruncate(fd, 1 << 20)
mapped = mmap.mmap(fd, 1 << 20)
for number in range(1 << 30):
    os.pwrite(fd, b'%d' % number, number * 4096 % (1 << 20))
    mapped[(number * 512 + 7) % (1 << 20)] = number % 256
    log = os.open(path + b'.log', os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(log, b'%d\n' % number)
    os.close(log)
    time.sleep(0.005)
