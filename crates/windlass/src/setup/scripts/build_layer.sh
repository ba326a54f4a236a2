#!/bin/bash
# Fills STAGING/fs with what installing PACKAGES on top of the image directory LOWER adds.
#   build_layer.sh STAGING LOWER CA_BUNDLE(or empty) PACKAGE...
# Runs in mount and process namespaces of its own: whatever ends it also ends its children and
# unmounts all that it mounted.
set -euo pipefail
staging=$1 lower=$2 ca_bundle=$3
shift 3

cd "$staging"
mkdir work root
# Names without colons and commas, whatever the data directory is called.
ln -s "$lower" lower
options=lowerdir=lower,upperdir=fs,workdir=work,redirect_dir=off,metacopy=off,index=off
# `volatile` (Linux 5.10) spares thousands of syncs; the caller syncs once at the end.
mount -t overlay overlay -o "$options,volatile" root 2>/dev/null ||
    mount -t overlay overlay -o "$options" root

mount -t proc proc root/proc
mount -t tmpfs -o mode=1777 tmpfs root/tmp
mount -t tmpfs -o mode=755 tmpfs root/run
mkdir -m 1777 root/run/lock
mount -t tmpfs -o mode=755 tmpfs root/dev
for device in null zero full random urandom tty; do
    touch "root/dev/$device"
    mount --bind "/dev/$device" "root/dev/$device"
done
ln -s /proc/self/fd root/dev/fd
mount --bind "$(readlink -f /etc/resolv.conf)" root/etc/resolv.conf

apt=(chroot root apt-get -q -y)
if [ -n "$ca_bundle" ]; then
    touch root/run/ca-bundle.crt
    mount --bind "$ca_bundle" root/run/ca-bundle.crt
    apt+=(-o Acquire::https::CAInfo=/run/ca-bundle.crt)
fi
"${apt[@]}" update
"${apt[@]}" install --no-install-recommends "$@"

# Buildpacks read the file, as on Heroku, although the sources are in sources.list.d.
[ -e root/etc/apt/sources.list ] || install -m 644 /dev/null root/etc/apt/sources.list

find root/var/log -type f -delete
rm -rf root/var/lib/apt/lists/* root/var/cache/apt/* root/var/cache/ldconfig/aux-cache
rm -f root/var/cache/debconf/*-old root/var/lib/dpkg/*-old
umount -R root
