#!/bin/sh
# The first process on the disk: sets up a machine with cgroup v2 alone and runs the tests.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /tmp
mount -t cgroup2 cgroup2 /sys/fs/cgroup
# A network that leads nowhere (the module has made its device), so that the machine has an address and a default route.
ip link set lo up
ip address add 192.0.2.1/24 dev dummy0
ip link set dummy0 up
ip route add default via 192.0.2.254
echo 1 >/proc/sys/net/ipv4/ip_forward
echo "windlass-vm: Linux $(uname -r), cgroup v2: $(cat /sys/fs/cgroup/cgroup.controllers)"
xargs /containers </arguments
echo "windlass-vm: ended with $?"
poweroff -f
