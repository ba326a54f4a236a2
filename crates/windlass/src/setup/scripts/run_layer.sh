#!/bin/bash
# Fills STAGING/fs with the run variant of a Debian stack.
#   run_layer.sh STAGING CONFIGURE_HOOK SUITE PACKAGES(comma separated) [SOURCES_FILE]
# Runs in mount and process namespaces of its own: whatever ends it also ends its children and
# unmounts all that it mounted.
set -euo pipefail
staging=$1 hook=$2 suite=$3 packages=$4
shift 4

fs=$staging/fs
mmdebstrap --verbose --mode=root --variant=minbase --extract-hook="$hook" \
    --include="$packages" "$suite" "$fs" "$@"

# Apps run and build as this user, whose home is the app.
chroot "$fs" groupadd --gid 1000 app
chroot "$fs" useradd --uid 1000 --gid 1000 --no-create-home --comment app --home-dir /app --shell /bin/bash app
mkdir -p "$fs/app"
chown 1000:1000 "$fs/app"

# A container has no init: packages that are installed later must not start services.
printf '#!/bin/sh\nexit 101\n' >"$fs/usr/sbin/policy-rc.d"
chmod 755 "$fs/usr/sbin/policy-rc.d"

# Nothing of this host, nothing that differs from run to run.
rm -f "$fs/etc/resolv.conf" "$fs/etc/hostname" "$fs/etc/machine-id"
install -m 644 /dev/null "$fs/etc/resolv.conf"
install -m 644 /dev/null "$fs/etc/machine-id"
echo localhost >"$fs/etc/hostname"
chmod 644 "$fs/etc/hostname"
find "$fs/dev" "$fs/run" "$fs/tmp" -mindepth 1 -delete
find "$fs/var/log" -type f -delete
rm -rf "$fs"/var/lib/apt/lists/* "$fs"/var/cache/apt/* "$fs/var/cache/ldconfig/aux-cache"
rm -f "$fs"/var/cache/debconf/*-old "$fs"/var/lib/dpkg/*-old
