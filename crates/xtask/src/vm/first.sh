#!/bin/busybox sh
# The first process, in the memory disk: loads the modules and goes over to the disk.
export PATH=/bin
busybox mount -t devtmpfs dev /dev
while read -r module; do busybox insmod "/modules/$module.ko" || echo "windlass-vm: no $module"; done </modules/order
tries=0
until [ -b /dev/vda ] || [ $tries = 100 ]; do tries=$((tries + 1)); busybox sleep 0.1; done
busybox mount -t ext4 /dev/vda /disk || busybox poweroff -f
exec busybox switch_root /disk /second.sh
