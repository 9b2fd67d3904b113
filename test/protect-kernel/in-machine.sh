# In the machine. $1: with or without the right to be an I/O flusher. $2: after so many seconds, it hangs.
# Says what it sees, a line each.
set -e
modprobe -a nbd ext4
modprobe -r nbd && modprobe nbd nbds_max=1
mkdir -p /mnt/disk /mnt/volume /run/v
mount /dev/vdb3 /mnt/disk
cd /run/v
protect() { /run/g/tools/node /run/g/at/dist/cli/main.js protect "$@"; }
wait_for() { until grep -qs "$1" "$2"; do sleep 1; done; }
shared="--volume v --size 512MiB --ring 32MiB --insecure --lease 60 --create"
# Both others are elsewhere in earnest: their memory is not what is filled.
protect auxiliary $shared --state /mnt/disk/auxiliary --listen 127.0.0.1:7401 --json > auxiliary.log 2>&1 &
protect dr $shared --state /mnt/disk/dr --image /mnt/disk/dr.img --listen 127.0.0.1:7402 --auxiliary 127.0.0.1:7401 \
  --nbd unix:/run/v/dr.sock --json > dr.log 2>&1 &

group=/sys/fs/cgroup/both
echo +memory > /sys/fs/cgroup/cgroup.subtree_control
mkdir $group
echo 192M > $group/memory.max
right=
[ "$1" = with ] || right="setpriv --bounding-set=-sys_resource --inh-caps=-sys_resource"
sh -c "echo \$\$ > $group/cgroup.procs; exec $right /run/g/tools/node /run/g/at/dist/cli/main.js protect primary $shared \
  --state /mnt/disk/primary --image /mnt/disk/primary.img --nbd unix:/run/v/v.sock --auxiliary 127.0.0.1:7401 \
  --dr 127.0.0.1:7402 --policy barrier --patience forever --json" > primary.log 2>&1 &
wait_for '"leading"' primary.log
status() { protect status --state /mnt/disk/$1 --json; }
echo "flusher: $(status primary | grep -o '"ioFlusher":"[a-z]*"' | cut -d'"' -f4)"

nbd-client -unix /run/v/v.sock /dev/nbd0 -name v -timeout 0 > client.log 2>&1 || { cat client.log; exit 1; }
echo "device: $(blockdev --getsize64 /dev/nbd0) bytes, written back by the kernel's own client"
mkfs.ext4 -q -E nodiscard /dev/nbd0
mount /dev/nbd0 /mnt/volume
began=$(date +%s)
sh -c "echo \$\$ > $group/cgroup.procs; exec dd if=/dev/zero of=/mnt/volume/big bs=1M count=384 conv=fsync" > dd.log 2>&1 &
writer=$!
end=hangs
for _ in $(seq $2); do
  if ! kill -0 $writer 2> /dev/null; then
    code=0; wait $writer || code=$?
    end="ended with $code"
    break
  fi
  sleep 1
done
echo "fill: $end"
echo "seconds: $(($(date +%s) - began))"
echo "limit: reached $(grep '^max ' $group/memory.events | cut -d' ' -f2) times, $(grep '^oom_kill ' $group/memory.events | cut -d' ' -f2) killed for it"
[ "$end" != hangs ] || exit 0

umount /mnt/volume
fsck.ext4 -nf /dev/nbd0 > fsck.log 2>&1 && echo 'check: clean' || cat fsck.log
nbd-client -d /dev/nbd0 > /dev/null
# What was synced is at the DR, too.
last=$(status primary | grep -o '"last":[0-9]*' | head -1 | cut -d: -f2)
for _ in $(seq 300); do
  base=$(status dr | grep -o '"base":[0-9]*' | head -1 | cut -d: -f2)
  [ "$base" != "$last" ] || break
  sleep 1
done
cmp -n 536870912 /mnt/disk/primary.img /mnt/disk/dr.img && echo 'level: yes'
